//! What hostkit does on AWS, to what, under which condition, and why: the table behind the policies.
//! What is done from outside is in its parts; what hosts do is here.

mod build;
mod care;
mod doctor;
mod recover;
mod rollout;

use super::grant::Role::{Agent, Controller, Ecs};
use super::grant::{Grant, On, When};

/// The whole table.
pub fn all() -> impl Iterator<Item = &'static Grant> {
    let parts = [build::GRANTS, care::GRANTS, doctor::GRANTS, recover::GRANTS, rollout::GRANTS];
    parts.into_iter().chain([GRANTS]).flatten()
}

/// What hosts do.
const GRANTS: &[Grant] = &[
    Grant {
        sid: "ReadKeys",
        roles: &[Controller],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/devops-tools/jenkins/*")],
        when: When::Always,
        why: "the key pair of the build agents, the first administrator's password; what \
              [secrets] names lies elsewhere and needs a statement of your own",
    },
    Grant {
        sid: "ReadPublicKey",
        roles: &[Agent],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/devops-tools/jenkins/id_rsa.pub")],
        when: When::Always,
        why: "who may log in: never the private half, with which an agent could get into all others",
    },
    Grant {
        sid: "ReadPoolHostKey",
        roles: &[Agent],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/hostkit/pools/*/host_key")],
        when: When::Always,
        why: "the host key that all agents of a pool have; name the pool to keep pools apart",
    },
    Grant {
        sid: "DecryptKeys",
        roles: &[Controller, Agent],
        actions: &["kms:Decrypt"],
        on: &[On::Key],
        when: When::Always,
        why: "parameters that are encrypted with a key of your own",
    },
    Grant {
        sid: "FindFileSystems",
        roles: &[Controller, Agent, Ecs],
        actions: &[
            "elasticfilesystem:DescribeFileSystems",
            "elasticfilesystem:DescribeMountTargetSecurityGroups",
            "elasticfilesystem:DescribeMountTargets",
        ],
        on: &[On::FileSystems],
        when: When::Always,
        why: "the mount targets of the home and of [[mount]]; without it they are found by DNS, in \
              this zone only. Whether one is in one zone only; whose packets are dropped",
    },
    Grant {
        sid: "TellGroup",
        roles: &[Controller, Agent, Ecs],
        actions: &[
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:RecordLifecycleActionHeartbeat",
        ],
        on: &[On::Groups],
        when: When::Always,
        why: "a launch hook waits for the boot",
    },
    Grant {
        sid: "ShipJournal",
        roles: &[Controller, Agent, Ecs],
        actions: &["logs:CreateLogStream", "logs:PutLogEvents"],
        on: &[On::LogStreams],
        when: When::Always,
        why: "only with `logs.group`: the journal, in a stream of the instance's own",
    },
    Grant {
        sid: "KnowGroup",
        roles: &[Controller, Agent, Ecs],
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLifecycleHooks",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "which group this host is in, whether a hook waits, and what the group does with it",
    },
    Grant {
        sid: "HaveGroupWait",
        roles: &[Controller],
        actions: &["autoscaling:ResumeProcesses", "autoscaling:SuspendProcesses"],
        on: &[On::Groups],
        when: When::Always,
        why: "only for `hostkit efs recover`: the group leaves this host alone while its home is \
              brought back; without it, a person does that and gives --leave-group",
    },
    Grant {
        sid: "TellGroupUnhealthy",
        roles: &[Controller, Agent, Ecs],
        actions: &["autoscaling:SetInstanceHealth"],
        on: &[On::Groups],
        when: When::Always,
        why: "a host that does not serve any more is replaced; without it, only a load balancer notices",
    },
    Grant {
        sid: "KnowTargetGroups",
        roles: &[Controller],
        actions: &[
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
        ],
        on: &[On::Everything],
        when: When::Region,
        why: "whether the load balancer finds this host healthy, and why not",
    },
    Grant {
        sid: "BeTarget",
        roles: &[Controller],
        actions: &[
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:RegisterTargets",
        ],
        on: &[On::TargetGroups],
        when: When::Always,
        why: "only with `alb.mode = \"explicit\"`: the host is a target before its launch hook ends",
    },
    Grant {
        sid: "AnswerOperators",
        roles: &[Controller],
        actions: &["ssm:PutParameter"],
        on: &[On::Parameters("/hostkit/asg/*/host")],
        when: When::Always,
        why: "how the controller stands, for whoever has it drained by the tag `hostkit:drain`",
    },
    Grant {
        sid: "ReadRollout",
        roles: &[Controller],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/hostkit/asg/*/journal")],
        when: When::Always,
        why: "whether a rollout goes back to this image: then the home of before is put back; \
              without it a newer Jenkins that came up and was not proven needs a person",
    },
    Grant {
        sid: "KnowRefresh",
        roles: &[Controller],
        actions: &["autoscaling:DescribeInstanceRefreshes"],
        on: &[On::Everything],
        when: When::Region,
        why: "whether AWS itself takes the refresh of a rollout back, whose process is gone: then the \
              home of before is put back; without it that waits for `hostkit upgrade --resume`",
    },
    Grant {
        sid: "FindAgents",
        roles: &[Controller],
        actions: &["autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances"],
        on: &[On::Everything],
        when: When::Region,
        why: "the build agents of the pools, by their groups or their tags",
    },
    Grant {
        sid: "ReadHostKeysOfPools",
        roles: &[Controller],
        actions: &["ssm:GetParameters"],
        on: &[On::Parameters("/hostkit/pools/*.pub")],
        when: When::Always,
        why: "the public host keys by which agents are recognised",
    },
    Grant {
        sid: "KnowHolder",
        roles: &[Controller],
        actions: &["ec2:DescribeInstances"],
        on: &[On::Everything],
        when: When::Region,
        why: "whether the last holder of the home is gone: else a crash is never got over",
    },
    Grant {
        sid: "KnowCluster",
        roles: &[Ecs],
        actions: &[
            "ecs:DescribeCapacityProviders",
            "ecs:DescribeClusters",
            "ecs:DescribeContainerInstances",
            "ecs:DescribeTasks",
            "ecs:ListContainerInstances",
            "ecs:ListTasks",
        ],
        on: &[
            On::OfEcs("capacity-provider"),
            On::OfEcs("cluster"),
            On::OfEcs("container-instance"),
            On::OfEcs("task"),
        ],
        when: When::Always,
        why: "whether ECS has this host, what runs there, and who drains it",
    },
    Grant {
        sid: "MoveTasks",
        roles: &[Ecs],
        actions: &["ecs:PutAttributes", "ecs:UpdateContainerInstancesState"],
        on: &[On::OfEcs("container-instance")],
        when: When::Always,
        why: "a drain; attributes that have changed since the host was registered",
    },
    Grant {
        sid: "LeaveCluster",
        roles: &[Ecs],
        actions: &["ecs:DeregisterContainerInstance"],
        on: &[On::OfEcs("cluster")],
        when: When::Always,
        why: "the end of a drain: ECS forgets a host by itself only while its agent runs",
    },
];
