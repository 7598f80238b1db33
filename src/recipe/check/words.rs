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

/// The name of an account that something else than the recipe may have made.
pub(super) fn is_member(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(plain)
}

pub(super) fn is_path(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && !path.contains(char::is_control)
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

/// One word of a line in a settings file: it begins no line and no option of its own.
pub fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Where packages come from. All of them are signed, so that http is as good as https.
pub fn is_source(address: &str) -> bool {
    is_word(address)
        && ["https://", "http://", "file:/"].iter().any(|scheme| address.starts_with(scheme))
}

/// Whether an address has a login before its host.
pub(super) fn has_login(address: &str) -> bool {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    rest.split('/').next().is_some_and(|authority| authority.contains('@'))
}

/// The name of a package, which no package manager takes for an option or a pattern, with its
/// processor. apt takes `name-` for "remove it".
pub fn is_package(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+._-".contains(c);
    let (name, arch) = name.split_once(':').unwrap_or((name, "any"));
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && !name.ends_with('-')
        && !arch.is_empty()
        && arch.chars().all(|c| c.is_ascii_alphanumeric())
}

/// `name` or `name=version`.
pub fn is_wanted(package: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+~:_^-".contains(c);
    let (name, version) = package.split_once('=').unwrap_or((package, "1"));
    is_package(name)
        && version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version.chars().all(plain)
        && !version.ends_with('-')
}

/// A module of the kernel.
pub(super) fn is_module(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// A word of the kernel's command line: it stands in a shell's double quotes and in a boot menu.
pub(super) fn is_kernel_word(text: &str) -> bool {
    is_word(text) && !text.contains(['"', '\'', '$', '`', '\\', '{', '}', ';', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_no_option_no_pattern_and_no_order_to_remove() {
        for good in ["g++", "libc6:amd64", "git=1:2.47.3-0+deb13u1", "ImageMagick", "a=1~rc1^2_3"] {
            assert!(is_wanted(good), "{good}");
        }
        for bad in [
            "--allow-unauthenticated",
            "-y",
            "",
            "curl-",
            "^gnome",
            "curl*",
            "a=1=2",
            "a=",
            "a b",
            "a\nb",
            "a:",
            "a:x:y",
            "a=1-",
            "a=-1",
        ] {
            assert!(!is_wanted(bad), "{bad}");
        }
        assert!(is_package("git") && !is_package("git=1"));
    }

    #[test]
    fn a_source_is_one_word_with_a_scheme_that_is_known() {
        for good in ["https://x/y", "http://127.0.0.1:1/", "file:/srv", "https://x/$releasever"] {
            assert!(is_source(good), "{good}");
        }
        for bad in ["ftp://x/", "https://x/\nTrusted: yes", "https://x/ [trusted=yes]", "x", ""] {
            assert!(!is_source(bad), "{bad}");
        }
        assert!(has_login("https://user:tok@host/") && !has_login("https://host/@scope"));
    }
}
