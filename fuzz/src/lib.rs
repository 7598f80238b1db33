//! What is fuzzed: the reading of recipes, from bytes to everything that is wrong with them.
//!
//! The rooms are taken in by their paths, so that the AWS SDKs are not built for this.

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/host/mod.rs"]
pub mod host;
#[path = "../../src/recipe/mod.rs"]
pub mod recipe;
#[path = "../../src/secret.rs"]
pub mod secret;

use recipe::assets::Assets;
use recipe::{Given, read_text};

/// Reads `bytes` as a recipe. Whatever they are, there is a recipe or an error, and every error can
/// be shown.
///
/// # Panics
/// If that does not hold.
pub fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let given = Given { stand_in: true, ..Given::default() };
    let reading = read_text(&text, &Assets::new("/nonexistent"), &given);
    for problem in &reading.problems {
        assert!(!problem.message.is_empty());
        if let Some(place) = &problem.place {
            assert!(place.line >= 1 && place.column >= 1);
            assert_eq!(place.excerpt().lines().count(), 3, "{}", place.excerpt());
        }
    }
    assert!(reading.recipe.is_some() || reading.errors() > 0, "neither a recipe nor an error");
}
