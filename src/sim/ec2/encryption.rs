//! Whether what is made in a region is encrypted unasked: `GetEbsEncryptionByDefault`, and the
//! switch.

use super::Call;
use super::query::Query;
use super::refusal::Answer;
use super::shape::flag;
use crate::sim::xml::leaf;

/// `GetEbsEncryptionByDefault`.
pub fn get(call: &mut Call<'_>, query: Query) -> Answer {
    query.finish()?.end()?;
    let encrypted = call.here().encrypted_by_default;
    let kind = if encrypted { "sse-kms" } else { "none" };
    Ok(flag("ebsEncryptionByDefault", encrypted) + &leaf("sseType", kind))
}

/// `EnableEbsEncryptionByDefault`, and `Disable…`.
pub fn switch(call: &mut Call<'_>, query: Query, on: bool) -> Answer {
    query.finish()?.end()?;
    call.here().encrypted_by_default = on;
    Ok(flag("ebsEncryptionByDefault", on))
}
