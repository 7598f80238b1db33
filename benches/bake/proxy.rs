//! A caching proxy on loopback: what was fetched once comes from the disk.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the packages come from the first time.
const UPSTREAM: &str = "http://deb.debian.org";

/// Serves until the benchmark ends. Returns its address.
pub(crate) fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound port has an address");
    // Lists must be of one moment: those of the last run go, what they name stays.
    forget_lists(folder);
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            std::thread::spawn(move || drop(converse(&stream, &folder)));
        }
    });
    format!("http://{address}")
}

fn forget_lists(folder: &Path) {
    for archive in ["debian", "debian-security"] {
        let _ = std::fs::remove_dir_all(folder.join(archive).join("dists"));
    }
}

/// Answers the requests of one connection, one after the other.
fn converse(stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        answer(stream, method, fetch(folder, path))?;
    }
}

fn answer(mut stream: &TcpStream, method: &str, file: Option<PathBuf>) -> std::io::Result<()> {
    let Some(file) = file else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let mut file = std::fs::File::open(file)?;
    let bytes = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
    if method != "HEAD" {
        std::io::copy(&mut file, &mut stream)?;
    }
    Ok(())
}

/// The file of a path, from upstream if it is not there.
fn fetch(folder: &Path, path: &str) -> Option<PathBuf> {
    let name = path.trim_start_matches('/').replace("..", "");
    let file = folder.join(&name);
    if !file.is_file() {
        std::fs::create_dir_all(file.parent()?).ok()?;
        // Two connections may want it at once: each fetches its own, the last one wins whole.
        let part = tempfile::NamedTempFile::new_in(file.parent()?).ok()?;
        let curl = Command::new("curl")
            .args(["--fail", "--silent", "--location", "--retry", "3", "--output"])
            .arg(part.path())
            .arg(format!("{UPSTREAM}/{name}"))
            .status();
        if !curl.is_ok_and(|status| status.success()) {
            return None;
        }
        part.persist(&file).ok()?;
    }
    Some(file)
}
