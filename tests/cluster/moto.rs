//! A real HTTP S3 on this machine: moto's server, where there are python and moto (`pip install 'moto[server]'`; `EDDY_PYTHON` names another
//! python).

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Python and its modules take a while.
const START_MAX: Duration = Duration::from_secs(60);
const BUCKET: &str = "eddy";

pub struct Moto {
    child: Child,
    pub address: String,
}

impl Moto {
    /// With an empty bucket. None where it is not installed.
    pub fn start() -> Option<Moto> {
        let python = std::env::var("EDDY_PYTHON").unwrap_or_else(|_| "python3".into());
        let asked = Command::new(&python).args(["-c", "import moto.server"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !asked.is_ok_and(|status| status.success()) {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
        let mut command = Command::new(python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let moto = Moto { child: command.spawn().expect("python starts"), address: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        while ureq::put(&format!("{}/{BUCKET}", moto.address)).send_empty().is_err() {
            assert!(began.elapsed() < START_MAX, "moto does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let of = |name, value: &str| (name, value.to_owned());
        let keys = [of("AWS_ACCESS_KEY_ID", "somebody"), of("AWS_SECRET_ACCESS_KEY", "secret"), of("AWS_REGION", "us-east-1")];
        keys.into_iter().chain([of("AWS_ENDPOINT", &self.address), of("AWS_ALLOW_HTTP", "true")]).collect()
    }

    /// Whether there is an object of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Bytes of the objects whose names begin so; of a thousand at most.
    pub fn bytes(&self, prefix: &str) -> u64 {
        let listed = self.get(&format!("?list-type=2&prefix={prefix}")).unwrap_or_default();
        let sizes = listed.split("<Size>").skip(1).filter_map(|rest| rest.split_once('<')?.0.parse::<u64>().ok());
        sizes.sum()
    }

    /// (Moto asks for a signature, and does not check it.)
    fn get(&self, what: &str) -> Option<String> {
        let signed = "AWS4-HMAC-SHA256 Credential=somebody/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let got = ureq::get(&format!("{}/{BUCKET}/{what}", self.address)).header("Authorization", signed).call();
        got.ok()?.body_mut().read_to_string().ok()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
