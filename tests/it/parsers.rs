//! Whatever a parser is given, it answers: text that people, other versions or a broken disk wrote.

use hostkit::{host, lease, recipe};
use proptest::prelude::*;

/// Mostly TOML and JSON that is nearly right: random bytes alone never get past the first line.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[recipe]\n".to_owned()),
        Just("[[file]]\n".to_owned()),
        Just("[host.efs]\n".to_owned()),
        Just("name = \"x\"\n".to_owned()),
        Just("mode = 0o644\n".to_owned()),
        Just("{\"version\":1,\"generation\":".to_owned()),
        Just("\"state\":\"held\"}".to_owned()),
        "[ -~\n]{0,40}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_recipe_makes_the_parser_panic(text in nearly()) {
        let given = recipe::Given { stand_in: true, ..recipe::Given::default() };
        let read = recipe::read_text(&text, &recipe::assets::Assets::new("/nonexistent"), &given);
        prop_assert!(read.recipe.is_some() || read.errors() > 0);
        for place in read.problems.iter().filter_map(|problem| problem.place.as_ref()) {
            prop_assert_eq!(place.excerpt().unwrap().lines().count(), 3);
        }
    }

    #[test]
    fn a_recipe_reads_the_same_every_time(text in nearly()) {
        let read = || {
            let assets = recipe::assets::Assets::new("/nonexistent");
            recipe::read_text(&text, &assets, &recipe::Given::default())
        };
        let (one, two) = (read(), read());
        prop_assert_eq!(one.recipe, two.recipe);
        prop_assert_eq!(one.problems, two.problems);
    }

    #[test]
    fn no_host_configuration_makes_the_parser_panic(image in nearly(), user in nearly()) {
        let layers = [
            host::Layer { origin: "image", text: &image },
            host::Layer { origin: "user-data", text: &user },
        ];
        let _ = host::read(&layers);
    }

    #[test]
    fn a_record_that_is_not_whole_lets_nobody_in(text in nearly()) {
        // Nothing that is generated here is a whole record, so nothing may be taken for one.
        prop_assert!(!matches!(lease::record::read(&text), lease::Reading::Record(_)));
    }
}
