//! Real sockets: who keeps silent or comes with many connections.

use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::super::connections::HEAD_WAIT;
use super::*;

async fn served() -> SocketAddr {
    let listener = crate::serve::listen("127.0.0.1:0".parse().expect("an address")).await.expect("any port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(crate::serve::run(listener, app(), std::future::pending()));
    address
}

/// Until the server closes: what it sent, and how long that took.
async fn until_closed(address: SocketAddr, sent: &'static str) -> (String, Duration) {
    let client = move || {
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(HEAD_WAIT + Duration::from_secs(5))).expect("a timeout");
        socket.write_all(sent.as_bytes()).expect("it reads");
        let (from, mut read) = (Instant::now(), String::new());
        socket.read_to_string(&mut read).expect("it is closed, and well");
        (read, from.elapsed())
    };
    tokio::task::spawn_blocking(client).await.expect("no panic")
}

#[tokio::test]
async fn a_connection_that_keeps_silent_is_closed() {
    let address = served().await;
    let whole = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (nothing, half, after) = tokio::join!(until_closed(address, ""), until_closed(address, &whole[..30]), until_closed(address, whole));
    for (answer, took) in [&nothing, &half, &after] {
        assert!(HEAD_WAIT.abs_diff(*took) < Duration::from_secs(3), "{took:?}: {answer}");
    }
    assert!(after.0.contains("200 OK") && after.0.ends_with("ok\n"), "{}", after.0);
}

#[tokio::test]
async fn many_idle_connections_leave_room_for_one_more() {
    let address = served().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(tokio::net::TcpStream::connect(address).await.expect("it listens"));
    }
    let (answer, took) = until_closed(address, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("200 OK") && took < Duration::from_secs(5), "{took:?}: {answer}");
}
