//! Snapshots, as EC2 knows them. Their blocks are EBS direct's business.

pub mod attribute;
pub mod copy;
pub mod delete;
pub mod describe;

pub use self::copy::copy;
pub use self::delete::delete;
pub use self::describe::describe;
