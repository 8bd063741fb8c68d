//! What every messenger must do, run against each member.

use super::{Button, DATA_BYTES_MAX, Error, Messenger, Outgoing, TEXT_CHARACTERS_MAX};

/// Runs the suite; `chat` is one that the bot may write to.
pub async fn holds(messenger: &dyn Messenger, chat: i64) {
    let say = |text: &str| Outgoing { chat, text: text.into(), ..Outgoing::default() };
    let refused = |result: Result<i64, Error>| assert!(matches!(result, Err(Error::Permanent(_))), "{result:?}");

    let first = messenger.send(&say("one")).await.expect("a message");
    let second = messenger.send(&say("one")).await.expect("the same again is another message");
    assert!(second > first, "ids grow");

    refused(messenger.send(&say("")).await);
    refused(messenger.send(&say(&"é".repeat(TEXT_CHARACTERS_MAX + 1))).await);
    messenger.send(&say(&"é".repeat(TEXT_CHARACTERS_MAX))).await.expect("characters are counted, not bytes");
    let button = |data: String| vec![vec![Button { text: "press".into(), data }]];
    refused(messenger.send(&Outgoing { buttons: button("x".repeat(DATA_BYTES_MAX + 1)), ..say("a") }).await);
    refused(messenger.send(&Outgoing { buttons: button(String::new()), ..say("a") }).await);
    refused(messenger.send(&Outgoing { buttons: vec![vec![button("x".into())[0][0].clone(); 9]], ..say("a") }).await);
    refused(messenger.send(&Outgoing { chat: chat - 1, ..say("a") }).await);
    messenger.send(&Outgoing { buttons: button("x".repeat(DATA_BYTES_MAX)), reply_to: Some(first), ..say("a") }).await.expect("64 bytes");

    messenger.edit(chat, first, "two", &button("b".into())).await.expect("an edit");
    let edit = messenger.edit(chat, first, "", &[]).await;
    assert!(matches!(edit, Err(Error::Permanent(_))), "{edit:?}");
    let edit = messenger.edit(chat, second + 1_000_000, "two", &[]).await;
    assert!(matches!(edit, Err(Error::Permanent(_))), "{edit:?}");

    messenger.delete(chat, first).await.expect("own messages can be deleted");
    let again = messenger.delete(chat, first).await;
    assert!(matches!(again, Err(Error::Permanent(_))), "{again:?}");
    let long = messenger.answer_callback("1", &"x".repeat(201)).await;
    assert!(matches!(long, Err(Error::Permanent(_))), "{long:?}");
}
