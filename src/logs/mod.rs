//! Shipping the journal of a host to CloudWatch Logs: what happened on a host that is gone is read
//! there.
//!
//! `hostkit logs ship` is all that `hostkit-logs.service` runs, where `logs.group` is set. It follows
//! the journal of a closed set of units ([`entry::matches`]), masks secrets, and sends batches
//! ([`batch`]) into the stream that has the instance's id. Where it is in the journal is kept in
//! `/var/lib/hostkit/logs.cursor`, written after AWS has taken a batch: a restart loses nothing, and
//! one that comes between AWS's answer and that write repeats one batch. While AWS is away the
//! journal itself is the buffer; this process keeps one batch and reads no further.

mod batch;
mod entry;
mod ship;
#[cfg(test)]
mod tests;

pub use ship::{Place, ship};
