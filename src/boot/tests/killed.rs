//! A boot that is killed, at any moment, and run again.

use super::*;

/// So many looks lie between two moments.
const STRIDE: usize = 4;

#[tokio::test]
async fn a_boot_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let (mut moment, mut killed) = (1, 0);
    loop {
        let world = World::new().await;
        let (events, _receiver) = Events::channel();
        let mut work = Box::pin(boot(world.machine.clone(), world.config(), events));
        let mut ended = false;
        for _ in 0..moment {
            ended = futures::poll!(work.as_mut()).is_ready();
            if ended {
                break;
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        // As a SIGKILL does: nothing is said, and nothing is cleaned up.
        drop(work);
        let end = world.boot().await;
        assert!(end.is_ok(), "killed at {moment}: {end:?}");
        assert_eq!(world.verdicts(), ["CONTINUE"], "killed at {moment}");
        assert!(world.has("run/hostkit/may-start"), "killed at {moment}");
        let left = left_over(&world.root.join("run/hostkit"));
        assert_eq!(left, [""; 0], "killed at {moment}");
        if ended {
            break;
        }
        (killed, moment) = (killed + 1, moment + STRIDE);
    }
    assert!(killed > 3, "it was killed {killed} times");
}

/// Halves of files: those that were to be renamed to their places.
fn left_over(folder: &Utf8Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(left_over(entry.path()));
        } else if entry.file_name().starts_with('.') || entry.file_name().ends_with(".tmp") {
            found.push(entry.path().to_string());
        }
    }
    found
}
