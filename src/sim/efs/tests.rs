use super::*;
use crate::sim::account::REGION;
use crate::sim::network;

fn ask(account: &Account, path: &str, query: &str) -> (u16, Value) {
    let (method, path, query) = ("GET".into(), format!("{PREFIX}{path}"), query.into());
    let request = Request { method, path, query, ..Request::default() };
    let reply = read(account, "i-0", REGION, &request);
    (reply.status, serde_json::from_str(&String::from_utf8_lossy(&reply.body.0)).unwrap())
}

#[test]
fn tells_that_a_file_system_is_backed_up() {
    let account = Account::for_tests();
    let id = &account.file_systems[0].id;
    let (_, body) = ask(&account, &format!("file-systems/{id}/backup-policy"), "");
    assert_eq!(body["BackupPolicy"]["Status"], "ENABLED");
    assert_eq!(ask(&account, "file-systems/fs-0123/backup-policy", "").0, 404);
}

#[test]
fn tells_where_the_file_system_is_mounted() {
    let mut account = Account::for_tests();
    let id = account.file_systems[0].id.clone();
    let query = format!("FileSystemId={id}");
    let (_, body) = ask(&account, "mount-targets", &query);
    assert_eq!(body["MountTargets"][0]["IpAddress"], "10.0.2.100");
    assert_eq!(body["MountTargets"][0]["AvailabilityZoneId"], "euw1-az1");
    assert_eq!(body["MountTargets"][0]["LifeCycleState"], "available");

    let subnets = network::subnets(REGION);
    let mut coming = Target::in_subnet(&id, &subnets[1]);
    coming.state = "creating".to_owned();
    let groups = format!("mount-targets/{}/security-groups", coming.id);
    account.file_systems[0].targets.push(coming);
    let (_, body) = ask(&account, "mount-targets", &query);
    assert_eq!(body["MountTargets"].as_array().unwrap().len(), 2);
    assert_eq!(body["MountTargets"][1]["AvailabilityZoneId"], "euw1-az2");
    assert_eq!(body["MountTargets"][1]["NetworkInterfaceId"], Value::Null);
    let (status, body) = ask(&account, &groups, "");
    assert_eq!((status, body["ErrorCode"].as_str()), (409, Some("IncorrectMountTargetState")));
    account.file_systems[0].targets[1].state = "available".to_owned();
    let (_, body) = ask(&account, &groups, "");
    assert!(body["SecurityGroups"][0].as_str().unwrap().starts_with("sg-0"), "{body}");
}

#[test]
fn a_file_system_is_in_its_region_only() {
    let mut account = Account::for_tests();
    account.file_systems[0].region = Some("us-east-1".to_owned());
    let query = format!("FileSystemId={}", account.file_systems[0].id);
    let (status, body) = ask(&account, "file-systems", &query);
    assert_eq!((status, body["ErrorCode"].as_str()), (404, Some("FileSystemNotFound")));
}

#[test]
fn refuses_what_does_not_exist_and_what_is_not_said() {
    let account = Account::for_tests();
    let code = |path: &str, query: &str| {
        let (status, body) = ask(&account, path, query);
        (status, body["ErrorCode"].as_str().unwrap_or_default().to_owned())
    };
    let absent = (404, "FileSystemNotFound".to_owned());
    assert_eq!(code("mount-targets", "FileSystemId=fs-0"), absent);
    assert_eq!(code("file-systems", "FileSystemId=fs-0"), absent);
    assert_eq!(code("file-systems/fs-0/policy", ""), absent);
    assert_eq!(code("mount-targets", ""), (400, "BadRequest".to_owned()));
    assert_eq!(code("access-points", "AccessPointId=fsap-0").1, "AccessPointNotFound");
    let policy = format!("file-systems/{}/policy", account.file_systems[0].id);
    assert_eq!(code(&policy, ""), (404, "PolicyNotFound".to_owned()));
    assert_eq!(code("access-points/fsap-0/tags", "").0, 404);
}
