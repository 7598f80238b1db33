use jiff::SignedDuration;

use super::*;
use crate::sim::service::Service;
use crate::sim::vault::{BACKUP, DEFAULT, Point, RESTORE, WAITS};

const ROLE: &str = "arn:aws:iam::123456789012:role/service-role/AWSBackupDefaultServiceRole";

fn ask(account: &mut Account, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let request = Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        body: body.to_string().into(),
        ..Request::default()
    };
    let reply = answer(account, &Call::for_tests(Service::Backup, action(&request), &request));
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn get(account: &mut Account, path: &str) -> Value {
    let (status, body) = ask(account, "GET", path, &json!({}));
    assert_eq!(status, 200, "{body}");
    body
}

fn arn(account: &Account) -> String {
    let id = &account.file_systems[0].id;
    format!("arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/{id}")
}

#[test]
fn a_backup_takes_its_time_and_is_one_however_often_it_is_asked_for() {
    let account = &mut Account::for_tests();
    let arn = arn(account);
    let asked = json!({
        "BackupVaultName": DEFAULT, "ResourceArn": arn, "IamRoleArn": ROLE,
        "IdempotencyToken": "t-1",
    });
    let (status, begun) = ask(account, "PUT", "/backup-jobs", &asked);
    assert_eq!(status, 200, "{begun}");
    assert_eq!(ask(account, "PUT", "/backup-jobs", &asked).1["BackupJobId"], begun["BackupJobId"]);
    let job = format!("/backup-jobs/{}", begun["BackupJobId"].as_str().unwrap());
    assert_eq!(get(account, &job)["State"], "CREATED");
    let escaped = arn.replace(':', "%3A").replace('/', "%2F");
    let points = format!("/resources/{escaped}/recovery-points/");
    assert_eq!(get(account, &points)["RecoveryPoints"], json!([]));
    account.skip(account.conditions.takes(WAITS + BACKUP / 2));
    let half = get(account, &job);
    assert_eq!(half["State"], "RUNNING");
    assert_ne!(half["PercentDone"], "0.0%");
    account.skip(account.conditions.takes(BACKUP));
    assert_eq!(get(account, &job)["State"], "COMPLETED");
    let found = get(account, &points);
    assert_eq!(found["RecoveryPoints"][0]["RecoveryPointArn"], begun["RecoveryPointArn"]);
    assert_eq!(found["RecoveryPoints"][0]["Status"], "COMPLETED");
    let all = get(account, &format!("/backup-jobs/?resourceArn={escaped}&state=COMPLETED"));
    assert_eq!(all["BackupJobs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_restore_puts_a_folder_beside_what_is_there() {
    let account = &mut Account::for_tests();
    let resource = arn(account);
    let created = account.world() - SignedDuration::from_hours(5);
    let point = Point::made("eu-west-1", &resource, created, 6144);
    let arn = point.arn.clone();
    account.region("eu-west-1").vaults.keep(point);
    let escaped = arn.replace(':', "%3A");
    let vault = "aws%2Fefs%2Fautomatic-backup-vault";
    let path = format!("/backup-vaults/{vault}/recovery-points/{escaped}/restore-metadata");
    let metadata = get(account, &path)["RestoreMetadata"].clone();
    let id = account.file_systems[0].id.clone();
    assert_eq!(metadata["file-system-id"], id.as_str());
    let mut asked = json!({
        "RecoveryPointArn": arn, "IamRoleArn": ROLE, "Metadata": metadata, "ResourceType": "EFS",
    });
    let (status, refused) = ask(account, "PUT", "/restore-jobs", &asked);
    assert_eq!((status, &refused["Code"]), (400, &json!("InvalidParameterValueException")));
    asked["Metadata"]["newFileSystem"] = "false".into();
    asked["Metadata"]["CreationToken"] = "t-1".into();
    asked["Metadata"]["ItemsToRestore"] = "[\"home\"]".into();
    assert_eq!(ask(account, "PUT", "/restore-jobs", &asked).0, 400, "no slash");
    asked["Metadata"]["ItemsToRestore"] = "[\"/home/jobs\"]".into();
    let (status, begun) = ask(account, "PUT", "/restore-jobs", &asked);
    assert_eq!(status, 200, "{begun}");
    let id = begun["RestoreJobId"].as_str().unwrap().to_owned();
    assert_eq!(get(account, &format!("/restore-jobs/{id}"))["Status"], "PENDING");
    account.skip(account.conditions.takes(WAITS + RESTORE));
    assert_eq!(get(account, &format!("/restore-jobs/{id}"))["Status"], "COMPLETED");
    let job = account.region("eu-west-1").vaults.jobs[&id].clone();
    let folder = job.over.unwrap().1.unwrap();
    assert!(folder.starts_with("aws-backup-restore_20") && folder.ends_with('Z'), "{folder}");
}

#[test]
fn what_is_not_there_is_refused() {
    let account = &mut Account::for_tests();
    let refused = |account: &mut Account, method: &str, path: &str, body: &Value| {
        ask(account, method, path, body).1["Code"].as_str().unwrap().to_owned()
    };
    let none = "ResourceNotFoundException";
    assert_eq!(refused(account, "GET", "/backup-jobs/1", &json!({})), none);
    assert_eq!(refused(account, "GET", "/restore-jobs/1", &json!({})), none);
    let mut asked = json!({
        "BackupVaultName": "other", "ResourceArn": arn(account), "IamRoleArn": ROLE,
    });
    assert_eq!(refused(account, "PUT", "/backup-jobs", &asked), none, "no such vault");
    asked["BackupVaultName"] = DEFAULT.into();
    asked["ResourceArn"] = arn(account).replace("/fs-", "/fs-0").into();
    assert_eq!(refused(account, "PUT", "/backup-jobs", &asked), none, "no such file system");
    asked["IamRoleArn"] = "AWSBackup".into();
    assert_eq!(refused(account, "PUT", "/backup-jobs", &asked), "InvalidParameterValueException");
    asked.as_object_mut().unwrap().remove("IamRoleArn");
    assert_eq!(refused(account, "PUT", "/backup-jobs", &asked), "MissingParameterValueException");
}
