//! What would be done, for people to agree to: what differs between the two images, how the hosts are
//! replaced and why so, and for how long nobody is served. Pure.

use super::Order;

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is carried out.
    pub order: Order,
}
