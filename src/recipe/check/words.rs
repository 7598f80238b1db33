//! What names, paths and digests must look like.

/// Whether a package is a file of this machine.
pub fn is_file(package: &str) -> bool {
    package.contains('/')
        || [".deb", ".rpm"].iter().any(|ending| package.to_ascii_lowercase().ends_with(ending))
}

pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(plain)
}

pub(super) fn is_account(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(plain)
}

pub(super) fn is_path(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
}

pub(super) fn is_sha256(digest: &str) -> bool {
    digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn is_fingerprint(text: &str) -> bool {
    let digits = || text.chars().filter(|c| !c.is_whitespace());
    digits().count() == 40 && digits().all(|c| c.is_ascii_hexdigit())
}

pub(super) fn is_moment(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "00000000T000000Z"
}

/// A name that is no path and no option.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.starts_with(['.', '-']) && !name.contains(['/', '\0', '\n', ' ']) && !name.is_empty()
}

/// What a shell takes for the name of a variable.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
