//! How long what stays, as `replay` and `work` are told.

use clap::Args;
use eddy_dataflows::Keep;

use super::duration::{Kept, kept};

#[derive(Args, Debug)]
pub struct Keeping {
    /// How long messages stay, such as `90d` or `12h` of event time; then only what they gave to sums does. With --state durable it is the
    /// state's, and so are --keep-hours, --keep-days and --views: they cannot be changed
    #[arg(long, default_value = "none", value_name = "TIME", value_parser = kept)]
    retention: Kept,
    /// How long rows of hours stay after their end
    #[arg(long, default_value = "none", value_name = "TIME", value_parser = kept)]
    keep_hours: Kept,
    /// How long rows of days stay after their end
    #[arg(long, default_value = "none", value_name = "TIME", value_parser = kept)]
    keep_days: Kept,
}

impl Keeping {
    pub fn keep(&self) -> Keep {
        Keep { messages_s: self.retention.0, hours_s: self.keep_hours.0, days_s: self.keep_days.0 }
    }
}
