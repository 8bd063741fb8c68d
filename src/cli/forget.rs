//! `eddy forget`: a user goes out of a data folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use eddy_schemas::scrub::Person;

use super::{Error, print, say};
use crate::forget::{self, request};
use crate::{files, work};

/// Takes a user out of a data folder for good: messages, rows, dead letters, texts, the log.
///
/// An `eddy run` that has the folder is asked to do it: for a moment it refuses reads, and then serves without the user. A replay or a cluster must
/// be stopped first.
///
/// What comes later of the same user, also from an old dump, is ignored (`forgotten`): the folder keeps a keyed hash of the name, not the name.
/// Views are without the user from then on; changelogs are written anew. Prints what it did as one line of JSON, and on
/// stderr what it cannot reach.
#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  eddy forget reddit:ada --data-dir eddy-data\n  eddy forget telegram:4242 --data-dir eddy-data")]
pub struct Forget {
    /// The user's key, such as reddit:ada (in any case) or telegram:4242
    user: String,
    /// The folder of `eddy run`, or of `eddy replay` or `eddy work` with --state durable
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
    /// The store that mirrors it, where `eddy work` was given one: it is made anew, too
    #[arg(long, value_name = "URL")]
    shared: Option<String>,
}

impl Forget {
    pub fn run(self) -> Result<ExitCode, Error> {
        let Some(person) = Person::of(&self.user) else {
            return Err(Error::Usage(format!("{} is no user's key: it looks like reddit:ada or telegram:4242", self.user)));
        };
        let done = match &self.shared {
            Some(url) => forget::run_there(&self.data_dir, &person, url)?,
            None => {
                work::refuse_without(&*files::disk(), &self.data_dir)?;
                request::run(&self.data_dir, &person).map_err(forget::not_all)?
            }
        };
        print(&serde_json::to_string(&done).expect("numbers and paths are JSON"))?;
        say(
            "not reached: what others wrote about the user in their own words, sums that sealed messages left in communities, the files that",
        );
        say(
            "records were read from, tables and dead letters that were written to an --output, topics of Kafka before their retention, and copies that \
             were taken of the folder, of a changelog or by a store that keeps versions",
        );
        say(
            "what comes later of the user is in no view; in the log of `eddy run` it stands as it came, until the same command is given again",
        );
        Ok(ExitCode::SUCCESS)
    }
}
