//! Diagnosis for developers: `RUST_LOG` on standard error, the journal when a service runs us.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// Installs the subscriber. Without `RUST_LOG` only warnings are shown.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let registry = tracing_subscriber::registry().with(filter);
    // systemd sets JOURNAL_STREAM for services: there structured fields are worth more than text.
    if std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journal) = tracing_journald::layer()
    {
        registry.with(journal).init();
    } else {
        registry.with(fmt::layer().with_writer(std::io::stderr).without_time()).init();
    }
}
