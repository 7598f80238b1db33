//! Whether something is XML, whole, and what of.
//!
//! Jenkins writes XML 1.1, in which a character may be written that XML 1.0 forbids; parsers for 1.0
//! refuse such files. This one looks at tags only.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The name of the one element that it is.
///
/// # Errors
/// It is none: why.
pub(super) fn element(bytes: &[u8]) -> Result<String, String> {
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(format!("there is a zero byte in it, at {at}"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("it is no text from byte {} on", error.valid_up_to()))?;
    let mut reader = Reader::from_str(text);
    let (mut top, mut open) = (None, Vec::<String>::new());
    loop {
        let event = reader.read_event();
        let event = event.map_err(|error| format!("{error}, at {}", reader.error_position()))?;
        match event {
            Event::Start(start) => {
                let name = begin(&start)?;
                if open.is_empty() {
                    once(&mut top, &name)?;
                }
                open.push(name);
            }
            Event::Empty(start) => {
                let name = begin(&start)?;
                if open.is_empty() {
                    once(&mut top, &name)?;
                }
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(text) if open.is_empty() && !is_space(&text) => {
                return Err("there is text outside of its element".to_owned());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match open.last() {
        Some(name) => Err(format!("it is cut off in <{name}>")),
        None => top.ok_or_else(|| "there is no element in it".to_owned()),
    }
}

fn is_space(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn begin(start: &BytesStart<'_>) -> Result<String, String> {
    let name = start.name().as_ref().to_owned();
    match start.attributes().find_map(Result::err) {
        Some(error) => Err(format!("{error}, in <{name}>")),
        None => Ok(name),
    }
}

fn once(top: &mut Option<String>, name: &str) -> Result<(), String> {
    match top.replace(name.to_owned()) {
        None => Ok(()),
        Some(first) => Err(format!("<{name}> follows <{first}>")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOB: &str = "<?xml version='1.1' encoding='UTF-8'?>\n<project a=\"1\">\n  <!-- x -->\n  \
                       <description>a &#x1b; bell &lt;</description>\n  <empty/>\n</project>\n";

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(element(JOB.as_bytes()).as_deref(), Ok("project"));
        let cut = &JOB[..JOB.len() - 12];
        let cases: &[&[u8]] = &[
            b"",
            b"   \n",
            b"<?xml version='1.1'?>\n",
            cut.as_bytes(),
            b"<a><b></a></b>",
            b"<a>\0\0\0",
            b"<a>\xff</a>",
            b"<a/><b/>",
            b"<a/>and more",
            b"no xml at all",
            b"<a b=></a>",
            b"<<<<<<< HEAD\n<a/>",
        ];
        let told: Vec<_> = cases.iter().map(|case| element(case).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    proptest! {
        #[test]
        fn a_file_that_is_cut_off_is_never_whole(at in 0..JOB.len() - 2) {
            prop_assert!(element(&JOB.as_bytes()[..at]).is_err());
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = element(&bytes);
        }
    }
}
