//! Texts of messages by place: they stay where they were read (the log, a dump) and are fetched when asked for.

use eddy_schemas::Place;

#[derive(Debug, thiserror::Error)]
#[error("the text at input {}, offset {} could not be read again: {what}", .place.input(), .place.offset())]
pub struct Error {
    pub place: Place,
    pub what: String,
}

/// Reads the text of a message again.
///
/// # Contract
/// - **Stable**: a place that was handed out gives the same text for ever.
pub trait Texts: Send + Sync {
    fn text(&self, place: Place) -> Result<String, Error>;

    /// Reads many: `each` is given every place's number among `places` with its text, once, in any order.
    fn texts(&self, places: &[Place], each: &mut dyn FnMut(usize, &str)) -> Result<(), Error> {
        for (number, place) in places.iter().enumerate() {
            each(number, &self.text(*place)?);
        }
        Ok(())
    }
}
