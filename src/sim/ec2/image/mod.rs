//! Images (AMIs).

pub mod ancestry;
pub mod attribute;
pub mod copy;
pub mod deregister;
pub mod describe;
pub mod lifecycle;
pub mod mapping;
pub mod references;
pub mod register;

pub use self::ancestry::ancestry;
pub use self::copy::copy;
pub use self::deregister::deregister;
pub use self::describe::describe;
pub use self::references::references;
pub use self::register::register;

use super::Call;
use super::id::Kind;
use super::refusal::{Answer, Refusal};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::image::Image;
use crate::sim::region::Region;

/// An image that this account can see.
pub fn find<'a>(region: &'a mut Region, id: &str) -> Answer<&'a mut Image> {
    Kind::Image.check(id)?;
    let image = region.images.get_mut(id).filter(|image| is_visible(image));
    image.ok_or_else(|| Kind::Image.not_found(&[id]))
}

/// An image of this account.
fn own<'a>(region: &'a mut Region, id: &str) -> Answer<&'a mut Image> {
    let image = find(region, id)?;
    if image.owner == ACCOUNT_ID {
        return Ok(image);
    }
    Err(Refusal::new("AuthFailure", format!("Not authorized for image:{id}")))
}

/// Whether this account may launch an image, and so sees it.
fn is_visible(image: &Image) -> bool {
    let shared = || image.shared_with.contains(&("userId".to_owned(), ACCOUNT_ID.to_owned()));
    image.owner == ACCOUNT_ID || image.is_public() || shared()
}

/// Refuses a name that cannot be one, or that another image of this account has.
pub fn check_name(call: &mut Call<'_>, name: &str) -> Answer<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"()[] ./-'@_".contains(&byte);
    if !(3..=128).contains(&name.len()) || !name.bytes().all(fits) {
        return Err(Refusal::new(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, \
             numbers, '(', ')', '.', '-', '/' and '_'",
        ));
    }
    let mut images = call.here().images.values();
    match images.find(|image| image.owner == ACCOUNT_ID && image.name == name) {
        None => Ok(()),
        Some(image) => {
            let message = format!("AMI name {name} is already in use by AMI {}", image.id);
            Err(Refusal::new("InvalidAMIName.Duplicate", message))
        }
    }
}

#[cfg(test)]
mod care_tests;
#[cfg(test)]
mod tests;
