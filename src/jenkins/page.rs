//! What Jenkins shows to somebody who has not logged in.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;

use super::http::{self, Trouble};

const PATIENCE: Duration = Duration::from_secs(10);

/// How a page was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// What Jenkins says that it is, in the header `X-Jenkins`.
    pub version: Option<String>,
    /// Its public key, where it tells it, in the header `X-Instance-Identity`.
    pub identity: Option<String>,
    /// Where a redirection leads.
    pub location: Option<String>,
    /// Whether this is the setup wizard, which waits for somebody to unlock it.
    pub is_wizard: bool,
}

/// Gets the page at `path` as somebody who has not logged in. Redirections are not followed.
pub async fn page(address: SocketAddr, path: &str) -> Result<Page, Trouble> {
    let answer = http::ask(address, Method::GET, path, None, PATIENCE).await?;
    let location = answer.header("location");
    let text = String::from_utf8_lossy(&answer.body);
    let is_wizard = shows_wizard(&text)
        || location.as_deref().is_some_and(|location| location.contains("setupWizard"));
    Ok(Page {
        status: answer.status,
        version: answer.header("x-jenkins"),
        identity: answer.header("x-instance-identity"),
        location,
        is_wizard,
    })
}

/// The page that unlocks a new Jenkins names the file with the first password, in every language.
fn shows_wizard(text: &str) -> bool {
    text.contains("initialAdminPassword")
}
