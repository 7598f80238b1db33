//! What is still to be looked at, the last first: so it goes deep before it goes wide, and stays small.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So much may wait.
pub(super) const MOST: usize = 100_000;

/// Things to do, for many threads.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    todo: Vec<T>,
    /// How many are being done.
    active: usize,
    is_over: bool,
}

impl<T> Queue<T> {
    pub(super) fn with(first: T) -> Self {
        let state = State { todo: vec![first], active: 0, is_over: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next thing to do; nothing when all is done, or it is over. Call [`Queue::done`] after it.
    pub(super) fn next(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.is_over {
                return None;
            }
            if let Some(next) = state.todo.pop() {
                state.active += 1;
                return Some(next);
            }
            if state.active == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds what has been found to do; hands back what there is no room for.
    pub(super) fn add(&self, mut found: Vec<T>) -> Vec<T> {
        let mut state = self.state();
        let room = MOST.saturating_sub(state.todo.len()).min(found.len());
        let rest = found.split_off(room);
        state.todo.append(&mut found);
        self.changed.notify_all();
        rest
    }

    /// That one thing is done.
    pub(super) fn done(&self) {
        let mut state = self.state();
        state.active -= 1;
        if state.active == 0 && state.todo.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Waits a moment. Whether all is done, but for so many that hang.
    pub(super) fn wait(&self, moment: Duration, hung: usize) -> bool {
        let state = self.state();
        let is_done = |state: &State<T>| state.todo.is_empty() && state.active <= hung;
        if is_done(&state) {
            return true;
        }
        let waited = self.changed.wait_timeout(state, moment);
        is_done(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// That nothing more is to be done; returns what was left.
    pub(super) fn end(&self) -> Vec<T> {
        let mut state = self.state();
        state.is_over = true;
        self.changed.notify_all();
        std::mem::take(&mut state.todo)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
