//! Stands in for other processes in the tests of `process`. The first argument is the part:
//!
//! - `guard ...`: what `russet __guard` is.
//! - `serve FOLDER PORT`: a program with `/health`, which does what the files in the folder say.
//! - `supervise KIND FOLDER`: a Russet that has such a program running, until a line on its
//!   standard input says how to die: `panic` or `abort`.
//! - `sleep`: nothing, for two minutes.
#![forbid(unsafe_code)]
#![cfg_attr(unix, expect(clippy::unwrap_used, reason = "a part that panics fails its test"))]

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let Some((part, rest)) = arguments.split_first() else { panic!("no part was given") };
    let texts: Vec<&str> = rest.iter().filter_map(|argument| argument.to_str()).collect();
    match (part.to_str(), &texts[..]) {
        (Some("guard"), _) => {
            eprintln!("guard: {}", russet_backends::process::guard::run(rest));
            std::process::exit(1);
        }
        (Some("serve"), [folder, port]) => serve::serve(folder.as_ref(), port),
        (Some("supervise"), [kind, folder]) => supervise::supervise(kind, folder),
        (Some("sleep"), []) => std::thread::sleep(std::time::Duration::from_secs(120)),
        _ => panic!("no such part: {arguments:?}"),
    }
}

#[cfg(unix)]
mod serve {
    //! A program: it listens on a port and obeys the files in a folder.

    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::process::{Command, exit};
    use std::thread::sleep;
    use std::time::Duration;

    pub(super) fn serve(folder: &Path, port: &str) {
        // Whatever becomes of the test, nothing stays for long.
        std::thread::spawn(|| {
            sleep(Duration::from_secs(120));
            exit(9);
        });
        append(&folder.join("pids"), &std::process::id().to_string());
        if folder.join("refuse").exists() {
            println!("on standard output");
            (0..50).for_each(|number| eprintln!("line {number}"));
            exit(7);
        }
        if folder.join("mute").exists() {
            sleep(Duration::from_secs(120));
        }
        if folder.join("with-child").exists() {
            start_child(&folder.join("child"));
        }
        let text = fs::read_to_string(folder.join("loading")).unwrap_or_default();
        let mut num_loading: u32 = text.trim().parse().unwrap_or(0);
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let status = match path(&stream).as_str() {
                "/crash" => {
                    eprintln!("crashing as told");
                    exit(3);
                }
                "/health" if num_loading > 0 => {
                    num_loading -= 1;
                    append(&folder.join("answers"), "503");
                    "503 Service Unavailable"
                }
                "/health" => "200 OK",
                _ => "404 Not Found",
            };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        }
    }

    /// A process that does not mind SIGTERM and writes its process id into a file.
    fn start_child(file: &Path) {
        let script = "trap '' TERM; echo $$ > \"$0\"; exec sleep 120";
        let mut child = Command::new("sh").args(["-c", script]).arg(file).spawn().unwrap();
        std::thread::spawn(move || child.wait());
        while !fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')) {
            sleep(Duration::from_millis(5));
        }
    }

    /// Reads a whole request; its path.
    fn path(stream: &TcpStream) -> String {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let path = head.first().and_then(|line| line.split(' ').nth(1));
        path.unwrap_or_default().to_owned()
    }

    fn append(file: &Path, line: &str) {
        let mut file = fs::File::options().create(true).append(true).open(file).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

#[cfg(unix)]
mod supervise {
    //! A Russet that dies.

    use russet_backends::Launcher;
    use russet_backends::process::guard::{Guard, Kind};
    use russet_backends::process::{Process, Spec};

    pub(super) fn supervise(kind: &str, folder: &str) {
        let launcher = |arguments: &[&str]| Launcher {
            program: std::env::current_exe().unwrap(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        let kind = match kind {
            "replace" => Kind::Replace,
            "stay" => Kind::Stay,
            _ => panic!("no such kind: {kind}"),
        };
        let guard = Guard { launcher: launcher(&["guard"]), kind };
        let program = launcher(&["serve", folder]);
        let _process =
            Process::start(Spec::new(guard, program, |port| vec![port.to_string().into()]))
                .unwrap();
        println!("ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        assert_ne!(line, "panic\n");
        std::process::abort();
    }
}
