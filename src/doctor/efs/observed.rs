//! What one check has seen, kept so that it can be judged now, by other checks, and from a bundle
//! elsewhere.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What one check has seen; nothing before it has looked.
#[derive(Debug)]
pub struct Cell<T>(OnceLock<Look<T>>);

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Cell<T> {
    /// What was seen. For tests, and for scenes that are made up.
    pub fn of(seen: T) -> Self {
        Self(OnceLock::from(Ok(seen)))
    }

    /// That it could not be looked at. For tests.
    pub fn untold(gap: Gap) -> Self {
        Self(OnceLock::from(Err(gap)))
    }

    /// What was seen, if it could be.
    pub fn seen(&self) -> Option<&T> {
        self.0.get()?.as_ref().ok()
    }

    /// What was seen, or why it was not; nothing if nobody has looked.
    pub fn looked(&self) -> Option<&Look<T>> {
        self.0.get()
    }

    pub(super) async fn fill(&self, within: Duration, look: impl Future<Output = Look<T>>) {
        if self.0.get().is_some() {
            return;
        }
        let look = tokio::time::timeout(within, look).await.unwrap_or_else(|_elapsed| {
            let why = format!("it did not end within {:.0} s", within.as_secs_f64().ceil());
            Err(Gap { needs: String::new(), denied: false, why })
        });
        // Each is looked at once in a run.
        let _ = self.0.set(look);
    }

    pub(super) fn refuse(&self, gap: Gap) {
        let _ = self.0.set(Err(gap));
    }

    pub(super) fn judge(&self, id: Id, how: impl FnOnce(&T) -> Finding) -> Finding {
        match self.0.get() {
            None => Finding::new(id.name(), Verdict::Skip, "it was not looked at"),
            Some(Err(gap)) if gap.needs.is_empty() => {
                Finding::new(id.name(), Verdict::Skip, gap.why.clone())
            }
            Some(Err(gap)) => Finding::untold(id.name(), id.check().does, gap),
            Some(Ok(seen)) => how(seen),
        }
    }
}

impl<T: Serialize> Serialize for Cell<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.get().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Cell<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let look = Option::<Look<T>>::deserialize(deserializer)?;
        Ok(Self(look.map(OnceLock::from).unwrap_or_default()))
    }
}
