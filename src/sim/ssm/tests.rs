//! What can be asked of this service, without a socket.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::sim::account::REGION;
use crate::sim::http::Request;
use crate::sim::parameters::{Kind, Parameters};
use crate::sim::service::Service;

fn account() -> Account {
    let mut account = Account::for_tests();
    account.parameters = Parameters::default()
        .with("/jenkins/key", Kind::SecureString, "private")
        .with("plain", Kind::String, "text");
    account
}

fn ask_in(account: &mut Account, region: &str, operation: &str, input: &Value) -> (u16, Value) {
    let request = Request { body: input.to_string().into(), ..Request::default() };
    let region = region.to_owned();
    let call = Call { region, ..Call::for_tests(Service::Ssm, operation, &request) };
    let reply = answer(account, &call);
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[expect(clippy::needless_pass_by_value, reason = "so that json! can stand where it is used")]
fn ask(account: &mut Account, operation: &str, input: Value) -> Value {
    let (status, output) = ask_in(account, REGION, operation, &input);
    assert_eq!(status, 200, "{operation}: {output}");
    output
}

#[expect(clippy::needless_pass_by_value, reason = "so that json! can stand where it is used")]
fn refused(account: &mut Account, operation: &str, input: Value) -> String {
    let (status, output) = ask_in(account, REGION, operation, &input);
    assert_eq!(status, 400, "{operation}: {output}");
    output["__type"].as_str().unwrap().to_owned()
}

#[test]
fn absent_names_are_listed_and_the_rest_is_given() {
    let names = ["/jenkins/key", "/jenkins/absent", "plain:1", "plain:2"];
    let output =
        ask(&mut account(), "GetParameters", json!({ "Names": names, "WithDecryption": true }));
    assert_eq!(output["InvalidParameters"], json!(["/jenkins/absent", "plain:2"]));
    assert_eq!(output["Parameters"][0]["Value"], "private");
    assert_eq!(output["Parameters"][1]["Name"], "plain");
    assert_eq!(output["Parameters"][1]["Selector"], ":1");
    let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/jenkins/key";
    assert_eq!(output["Parameters"][0]["ARN"], arn);
}

#[test]
fn a_secret_stays_secret_without_decryption() {
    let output = ask(&mut account(), "GetParameter", json!({ "Name": "/jenkins/key" }));
    assert!(output["Parameter"]["Value"].as_str().unwrap().starts_with("AQICAH"));
}

#[test]
fn refuses_as_aws_does() {
    let mut account = account();
    let mut kind = |operation, input| refused(&mut account, operation, input);
    assert_eq!(kind("GetParameter", json!({ "Name": "/x" })), "ParameterNotFound");
    assert_eq!(kind("GetParameter", json!({ "Name": "plain:2" })), "ParameterVersionNotFound");
    assert_eq!(kind("SendCommand", json!({})), "UnknownOperationException");
    assert_eq!(kind("GetParameters", json!({})), "ValidationException");
    assert_eq!(kind("GetParameters", json!({ "Names": vec!["a"; 11] })), "ValidationException");
    assert_eq!(kind("GetParameter", json!({ "Name": 7 })), "SerializationException");
    assert_eq!(kind("DeleteParameter", json!({ "Name": "/x" })), "ParameterNotFound");
    let put = |more: Value| {
        let mut input = json!({ "Name": "/n", "Value": "v", "Type": "String" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    assert_eq!(kind("PutParameter", put(json!({ "Name": "/aws/x" }))), "AccessDeniedException");
    assert_eq!(kind("PutParameter", put(json!({ "Name": "a b" }))), "ValidationException");
    assert_eq!(kind("PutParameter", put(json!({ "Name": "a/b" }))), "ValidationException");
    let deep = "/a".repeat(16);
    let expected = "HierarchyLevelLimitExceededException";
    assert_eq!(kind("PutParameter", put(json!({ "Name": deep }))), expected);
    assert_eq!(kind("PutParameter", put(json!({ "Type": null }))), "ValidationException");
    assert_eq!(kind("PutParameter", put(json!({ "Value": "" }))), "ValidationException");
    let long = "x".repeat(4097);
    assert_eq!(kind("PutParameter", put(json!({ "Value": long }))), "ValidationException");
    assert_eq!(kind("PutParameter", put(json!({ "DataType": "hello" }))), "ValidationException");
    let image = json!({ "DataType": "aws:ec2:image", "Value": "hello" });
    assert_eq!(kind("PutParameter", put(image)), "ValidationException");
    let both = json!({ "Overwrite": true, "Tags": [{ "Key": "a", "Value": "b" }] });
    assert_eq!(kind("PutParameter", put(both)), "ValidationException");
    assert_eq!(kind("PutParameter", put(json!({ "Name": "plain" }))), "ParameterAlreadyExists");
    let other = json!({ "Name": "plain", "Type": "SecureString", "Overwrite": true });
    assert_eq!(kind("PutParameter", put(other)), "HierarchyTypeMismatchException");
}

#[test]
fn what_is_put_has_versions_labels_and_tags() {
    let account = &mut account();
    let tags = json!([{ "Key": "a", "Value": "b" }]);
    let put = json!({ "Name": "/n", "Value": "1", "Type": "String", "Tags": tags });
    assert_eq!(ask(account, "PutParameter", put), json!({ "Version": 1, "Tier": "Standard" }));
    let long = "x".repeat(5000);
    let tier = "Intelligent-Tiering";
    let put = json!({ "Name": "/n", "Value": long, "Overwrite": true, "Tier": tier });
    assert_eq!(ask(account, "PutParameter", put), json!({ "Version": 2, "Tier": "Advanced" }));
    let label = |number: u64, labels: Value| json!({ "Name": "/n", "ParameterVersion": number, "Labels": labels });
    let output = ask(account, "LabelParameterVersion", label(1, json!(["live", "1st"])));
    assert_eq!(output, json!({ "InvalidLabels": ["1st"], "ParameterVersion": 1 }));
    let live = |account: &mut Account| {
        ask(account, "GetParameter", json!({ "Name": "/n:live" }))["Parameter"]["Version"].take()
    };
    assert_eq!(live(account), 1);
    ask(account, "LabelParameterVersion", label(2, json!(["live"])));
    assert_eq!(live(account), 2);
    let history = ask(account, "GetParameterHistory", json!({ "Name": "/n" }));
    assert_eq!(history["Parameters"][0]["Labels"], json!([]));
    assert_eq!(history["Parameters"][1]["Labels"], json!(["live"]));
    let output = ask(account, "UnlabelParameterVersion", label(2, json!(["live", "x"])));
    assert_eq!(output, json!({ "RemovedLabels": ["live"], "InvalidLabels": ["x"] }));

    let of = json!({ "ResourceType": "Parameter", "ResourceId": "/n" });
    assert_eq!(ask(account, "ListTagsForResource", of.clone())["TagList"], tags);
    let mut remove = of.clone();
    remove["TagKeys"] = json!(["a"]);
    ask(account, "RemoveTagsFromResource", remove);
    assert_eq!(ask(account, "ListTagsForResource", of)["TagList"], json!([]));
    let names = json!({ "Names": ["/n", "/absent"] });
    let output = ask(account, "DeleteParameters", names);
    assert_eq!(output, json!({ "DeletedParameters": ["/n"], "InvalidParameters": ["/absent"] }));
}

#[test]
fn every_region_has_its_own() {
    let account = &mut account();
    let put = json!({ "Name": "/n", "Value": "1", "Type": "String" });
    ask(account, "PutParameter", put);
    let name = json!({ "Name": "/n" });
    assert_eq!(ask_in(account, "us-west-2", "GetParameter", &name).0, 400);
    let given = json!({ "Name": "plain" });
    assert_eq!(ask_in(account, "us-west-2", "GetParameter", &given).0, 200);
}

#[test]
fn an_image_is_one_only_once_it_was_looked_for() {
    let account = &mut account();
    let put = |value: &str| {
        json!({ "Name": "/n", "Value": value, "Type": "String", "DataType": "aws:ec2:image",
            "Overwrite": true })
    };
    let name = || json!({ "Name": "/n" });
    assert_eq!(ask(account, "PutParameter", put("ami-0123456789abcdef0"))["Version"], 1);
    assert_eq!(refused(account, "GetParameter", name()), "ParameterNotFound");
    account.skip(Duration::from_secs(1));
    assert_eq!(refused(account, "GetParameter", name()), "ParameterNotFound", "no such image");
}

#[test]
fn lists_have_filters_and_pages() {
    let account = &mut account();
    for index in 0..60 {
        let put = json!({ "Name": format!("/a/b{index:02}"), "Value": "v", "Type": "String" });
        ask(account, "PutParameter", put);
    }
    ask(account, "PutParameter", json!({ "Name": "/a/c/d", "Value": "v", "Type": "StringList" }));
    let names = |output: &Value| {
        let all = output["Parameters"].as_array().unwrap();
        all.iter().map(|one| one["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = ask(account, "GetParametersByPath", json!({ "Path": "/a" }));
    assert_eq!(names(&first).len(), 10);
    let next = json!({ "Path": "/a", "NextToken": first["NextToken"] });
    assert_eq!(names(&ask(account, "GetParametersByPath", next))[0], "/a/b10");
    let deep = json!({ "Path": "/a", "Recursive": true,
        "ParameterFilters": [{ "Key": "Type", "Values": ["StringList"] }] });
    assert_eq!(names(&ask(account, "GetParametersByPath", deep)), ["/a/c/d"]);
    let described = ask(account, "DescribeParameters", json!({}));
    assert_eq!(names(&described).len(), 50);
    let next = json!({ "NextToken": described["NextToken"] });
    assert_eq!(names(&ask(account, "DescribeParameters", next)).len(), 13);
    let filter = |key: &str, option: &str, value: &str| json!({ "ParameterFilters": [{ "Key": key, "Option": option, "Values": [value] }] });
    let begins = ask(account, "DescribeParameters", filter("Name", "BeginsWith", "/a/b5"));
    assert_eq!(names(&begins).len(), 10);
    let below = ask(account, "DescribeParameters", filter("Path", "Recursive", "/a/c"));
    assert_eq!(names(&below), ["/a/c/d"]);
    let why = refused(account, "DescribeParameters", filter("Path", "Equals", "/a"));
    assert_eq!(why, "InvalidFilterOption");
    let why = refused(account, "DescribeParameters", json!({ "NextToken": "x" }));
    assert_eq!(why, "InvalidNextToken");
    let why = refused(account, "DescribeParameters", json!({ "MaxResults": 51 }));
    assert_eq!(why, "ValidationException");
}
