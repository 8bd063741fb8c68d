//! Starts the processes of a cluster and takes apart what they leave.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::replays::run::{Place, Ran, eddy};

/// A cluster to be started, in a folder of its own.
pub struct Party {
    pub place: Place,
    pub processes: usize,
    pub files: Vec<PathBuf>,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
    /// The name of the folder that its processes share.
    pub data: String,
}

impl Party {
    /// On an address of the loopback that is this party's own: nobody can take its ports between now and their use.
    pub fn new(processes: usize) -> Party {
        static PARTIES: AtomicU32 = AtomicU32::new(0);
        let place = Place::new();
        let (pid, party) = (std::process::id(), PARTIES.fetch_add(1, Ordering::Relaxed));
        let octet = |n: u32| u8::try_from(n % 254 + 1).expect("below 255");
        let address = Ipv4Addr::new(127, octet(pid / 254), octet(pid), octet(party));
        let listeners: Vec<TcpListener> = (0..processes).map(|_| TcpListener::bind((address, 0)).expect("a free port")).collect();
        let hosts: Vec<String> = listeners.iter().map(|listener| listener.local_addr().expect("bound").to_string()).collect();
        place.file("hosts", hosts.join("\n"));
        Party { place, processes, files: vec![], arguments: vec![], environment: vec![], data: "data".into() }
    }

    pub fn hosts(&self) -> Vec<String> {
        std::fs::read_to_string(self.place.path("hosts")).expect("hosts").lines().map(str::to_owned).collect()
    }

    /// One of its processes; `--output` is given to all, as one command line would.
    pub fn command(&self, process: usize) -> Command {
        self.other_command(process, "30", "hosts", &self.files)
    }

    /// One that is not started as the others: with other files, or another hosts file.
    pub fn other_command(&self, process: usize, wait_s: &str, hosts: &str, files: &[PathBuf]) -> Command {
        let mut command = eddy(["work", "--process", &process.to_string(), "--wait", &format!("{wait_s}s"), "--hosts"]);
        command.arg(self.place.path(hosts)).arg("--data-dir").arg(self.place.path(&self.data)).arg("--output").arg(self.place.out());
        command.args(&self.arguments).args(files).stdout(Stdio::piped()).stderr(Stdio::piped()).env("TMPDIR", self.place.path(""));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn start(&self) -> Vec<Child> {
        (0..self.processes).map(|process| self.command(process).spawn().expect("the binary starts")).collect()
    }

    /// Waits until all have met and are at work: timely's connections have their threads, and the spools have lost their names.
    pub fn wait_until_at_work(&self, children: &[Child]) {
        let began = Instant::now();
        let at_work = |(process, child): (usize, &Child)| {
            let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("a child that runs");
            let name = |thread: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok();
            let has_met = threads.filter_map(name).any(|name| name.starts_with("timely:recv-"));
            has_met && !self.place.path(&format!("data/process-{process}/texts-0")).exists()
        };
        while !children.iter().enumerate().all(at_work) {
            assert!(began.elapsed() < Duration::from_secs(60), "they do not meet");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// What each of them left, by number.
pub fn wait(children: Vec<Child>) -> Vec<Ran> {
    children.into_iter().map(Ran::wait).collect()
}

pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

/// Nothing that was only on its way is left.
pub fn is_clean(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        assert!(!name.starts_with('.') && !name.starts_with("texts-"), "{name} was left in {}", folder.display());
        if entry.path().is_dir() {
            is_clean(&entry.path());
        }
    }
}
