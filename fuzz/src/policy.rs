//! Policies of file systems, taken in by their parts: what reads and answers, without what looks.

#[path = "../../src/doctor/efs/api/policy/condition.rs"]
pub mod condition;
#[path = "../../src/doctor/efs/api/policy/document.rs"]
pub mod document;
#[path = "../../src/doctor/efs/api/policy/evaluate.rs"]
pub mod evaluate;
#[path = "../../src/doctor/efs/api/policy/request.rs"]
pub mod request;
