//! The keys of a controller and its build agents: in Parameter Store, on hosts, and how they are
//! exchanged.
//!
//! [`public`] and [`private`] say what counts as a key, [`ask`] gets them and tells what is wrong;
//! [`handshake`] sees which host key a server shows. For who looks after them from outside:
//! [`generate`] makes a pair, [`status`] tells what is where, and [`rotate`] exchanges one for
//! another while logins go on ([`rotation`] decides, without I/O). What a host does with its keys is
//! the boot's business. No private key is ever shown, logged, or written anywhere but to Parameter
//! Store and memory.

pub mod ask;
pub mod generate;
pub mod handshake;
pub mod make;
pub mod private;
pub mod public;
pub mod rotate;
pub mod rotation;
pub mod status;

pub use private::PrivateKey;
pub use public::PublicKey;

/// The key of `host.toml` that names the host key of a pool.
pub const POOL_SETTING: &str = "`agent.host_key`";

/// The parameter with the private host key that all build agents of `pool` share.
pub fn host_key_of(pool: &str) -> String {
    format!("/hostkit/pools/{pool}/host_key")
}

/// The parameter that has the public half of the key in `private`.
pub fn public_of(private: &str) -> String {
    format!("{private}.pub")
}

/// The parameter in which a rotation keeps the key that will follow the one in `private`.
pub fn next_of(private: &str) -> String {
    format!("{private}.next")
}

/// The keys of a text, one a line, and what is wrong with the lines that are none, by their numbers:
/// a wrong line may be anything, so it is not repeated.
pub fn lines(text: &str) -> (Vec<PublicKey>, Vec<(usize, public::Wrong)>) {
    let (mut keys, mut wrong) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match PublicKey::parse(line) {
            Ok(key) => keys.push(key),
            Err(problem) => wrong.push((index + 1, problem)),
        }
    }
    (keys, wrong)
}
