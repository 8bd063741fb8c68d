//! The hosts file: a line `host:port` for each process, in the order of their numbers. Blank lines and lines that begin with `#` are
//! left out.

use std::path::Path;

use super::{Error, PROCESSES_MAX};

/// The addresses in a file.
pub fn hosts(path: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.into(), source })?;
    read(&text).map_err(|what| Error::Hosts { path: path.into(), what })
}

fn read(text: &str) -> Result<Vec<String>, String> {
    let mut hosts: Vec<String> = vec![];
    for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let number = number + 1;
        let port = line.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|port| !host.is_empty() && *port > 0));
        if port.is_none() || line.contains(char::is_whitespace) {
            return Err(format!("line {number} is `{line}`: a line is host:port, such as 10.0.0.1:2101"));
        }
        if hosts.iter().any(|host| host == line) {
            return Err(format!("line {number} is `{line}`, which stands there before: each process has an address of its own"));
        }
        hosts.push(line.into());
    }
    match hosts.len() {
        0 => Err("it names no process: a line is host:port".into()),
        n if n > PROCESSES_MAX => Err(format!("it names {n} processes, more than {PROCESSES_MAX}")),
        _ => Ok(hosts),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_hosts_file_is_a_line_a_process_or_says_what_is_wrong() {
        assert_eq!(read("# two\n10.0.0.1:2101\n\n [::1]:2102 \n"), Ok(vec!["10.0.0.1:2101".into(), "[::1]:2102".into()]));
        for (text, what) in [
            ("", "names no process"),
            ("# none\n", "names no process"),
            ("a:1\nb\n", "line 2 is `b`"),
            ("a:0\n", "line 1 is `a:0`"),
            (":1\n", "line 1 is `:1`"),
            ("a:1 b:2\n", "line 1 is"),
            ("a:1\n#\na:1\n", "line 3 is `a:1`, which stands there before"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }
}
