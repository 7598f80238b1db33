//! The order of steps: pure, so that a wrong table is found by a test and not by a boot.

use std::fmt::Write as _;

use thiserror::Error;

/// Names, and for each which of them come before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    names: Vec<&'static str>,
    after: Vec<Vec<usize>>,
    order: Vec<usize>,
}

/// Why a table of steps is not a graph.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GraphError {
    /// Two steps have one name.
    #[error("the step `{0}` is there twice")]
    Twice(&'static str),
    /// A step comes after one that does not exist.
    #[error("the step `{step}` comes after `{before}`, which does not exist")]
    Unknown {
        /// The step.
        step: &'static str,
        /// What it names.
        before: &'static str,
    },
    /// Steps wait for each other.
    #[error("the steps {} wait for each other", .0.join(", "))]
    Cycle(Vec<&'static str>),
}

impl Graph {
    /// From rows of `(name, names that come before it)`.
    pub fn new(rows: &[(&'static str, &'static [&'static str])]) -> Result<Self, GraphError> {
        let names: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
        let place = |name: &str| names.iter().position(|known| *known == name);
        let mut after = Vec::with_capacity(rows.len());
        for (index, (step, before)) in rows.iter().enumerate() {
            if place(step) != Some(index) {
                return Err(GraphError::Twice(step));
            }
            let unknown = |before: &&'static str| GraphError::Unknown { step, before };
            let places = before.iter().map(|name| place(name).ok_or_else(|| unknown(name)));
            after.push(places.collect::<Result<Vec<_>, _>>()?);
        }
        let order = order(&after).map_err(|stuck| {
            GraphError::Cycle(stuck.into_iter().map(|index| names[index]).collect())
        })?;
        Ok(Self { names, after, order })
    }

    /// The indices of the rows, every one after those that it waits for.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The rows that come right before row `index`.
    pub fn after(&self, index: usize) -> &[usize] {
        &self.after[index]
    }

    /// The graph in Graphviz' language.
    pub fn dot(&self) -> String {
        let mut dot = "digraph boot {\n  rankdir=LR; node [shape=box];\n".to_owned();
        for (index, name) in self.names.iter().enumerate() {
            let _ = writeln!(dot, "  \"{name}\";");
            for &before in &self.after[index] {
                let _ = writeln!(dot, "  \"{}\" -> \"{name}\";", self.names[before]);
            }
        }
        dot + "}\n"
    }
}

/// Rows whose predecessors are all placed are placed next; what cannot be placed is a cycle.
fn order(after: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::with_capacity(after.len());
    let mut rest: Vec<usize> = (0..after.len()).collect();
    while !rest.is_empty() {
        let ready = |index: &usize| after[*index].iter().all(|before| order.contains(before));
        let (free, stuck): (Vec<_>, Vec<_>) = rest.into_iter().partition(ready);
        if free.is_empty() {
            return Err(stuck);
        }
        order.extend(free);
        rest = stuck;
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_name_is_named() {
        let error = Graph::new(&[("a", &["b"])]).unwrap_err();
        assert_eq!(error.to_string(), "the step `a` comes after `b`, which does not exist");
    }

    #[test]
    fn a_cycle_is_named_without_its_innocent_predecessors() {
        let rows: [(&str, &[&str]); 3] = [("a", &[]), ("b", &["a", "c"]), ("c", &["b"])];
        assert_eq!(Graph::new(&rows), Err(GraphError::Cycle(vec!["b", "c"])));
    }

    #[test]
    fn one_name_is_one_step() {
        assert_eq!(Graph::new(&[("a", &[]), ("a", &[])]), Err(GraphError::Twice("a")));
    }

    proptest! {
        #[test]
        fn every_row_is_ordered_once_and_after_its_predecessors(
            edges in proptest::collection::vec((0usize..12, 0usize..12), 0..40),
        ) {
            // An edge always points from a smaller to a larger row: there is no cycle.
            let mut after = vec![Vec::new(); 12];
            for (a, b) in edges.into_iter().filter(|(a, b)| a != b) {
                after[a.max(b)].push(a.min(b));
            }
            let order = order(&after).unwrap();
            let place = |row: usize| order.iter().position(|&other| other == row).unwrap();
            prop_assert_eq!(order.len(), 12);
            for (row, before) in after.iter().enumerate() {
                prop_assert!(before.iter().all(|&b| place(b) < place(row)));
            }
        }
    }
}
