//! CodeDeploy's agents as real processes: what they install, which scripts they run, and what they say of failures.

use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::codedeploy::Agents;
use tagship_local::processes;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const POLLING: Agents = Agents::Polling { fetch: Duration::from_secs(60), poll: Duration::from_secs(5) };

/// A zip of these files; scripts get no execute permission, which the agent sets.
fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An appspec with one script, `run.sh`, for one event.
fn appspec(event: &str, timeout_secs: u32) -> String {
    format!(
        "version: 0.0\nos: linux\nhooks:\n  {event}:\n    - location: run.sh\n      timeout: {timeout_secs}\n      runas: web\n"
    )
}

async fn version(cloud: &Cloud, n: usize) -> String {
    let url = format!("http://{}:8080/", cloud.address(n));
    let answer: Value = serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap();
    format!("{} on {}", answer["version"].as_str().unwrap(), answer["instance"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_application_is_installed_replaced_and_gone_with_its_instances() {
    let cloud = Cloud::start(2, POLLING).await;
    let instances = cloud.boot().await;
    for release in ["r1", "r2"] {
        cloud.put("web.zip", pack(release, Variant::Healthy).unwrap());
        let deployment = cloud.deploy("web.zip").await;
        assert_eq!(deployment["status"], "Succeeded", "{deployment}");
        assert_eq!(deployment["deploymentOverview"]["Succeeded"], 2);
        let (events, _) = cloud.events(&deployment, "i-2").await;
        assert!(events.iter().all(|event| event.ends_with(" Succeeded")), "{events:?}");
        assert_eq!(version(&cloud, 0).await, format!("{release} on i-1"));
        assert_eq!(version(&cloud, 1).await, format!("{release} on i-2"));
    }
    // An agent, an application and the shell that waits for it each, and nothing of r1.
    assert_eq!(instances.processes(), 6);
    cloud.set_all("shutting-down");
    cloud.all_are("terminated").await;
    assert_eq!(instances.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_variant_behaves_as_it_says_once_deployed() {
    let cloud = Cloud::start(1, POLLING).await;
    let _instances = cloud.boot().await;
    for (variant, health) in [(Variant::Healthy, 200), (Variant::Unhealthy, 503), (Variant::SlowStart(1), 200)] {
        cloud.put("web.zip", pack("r1", variant).unwrap());
        assert_eq!(cloud.deploy("web.zip").await["status"], "Succeeded", "{variant:?}");
        let url = format!("http://{}:8080", cloud.address(0));
        let status = reqwest::get(format!("{url}/health")).await.unwrap().status();
        assert_eq!(status.as_u16(), health, "{variant:?}");
        assert_eq!(version(&cloud, 0).await, "r1 on i-1", "{variant:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_the_instances_even_if_it_hides() {
    let cloud = Cloud::start(1, POLLING).await;
    let instances = cloud.boot().await;
    let script = "#!/bin/sh\ntrap '' TERM\n(setsid nohup sleep 1000 </dev/null >/dev/null 2>&1 &) \n";
    cloud.put("hide.zip", zip(&[("appspec.yml", &appspec("ApplicationStart", 5)), ("run.sh", script)]));
    let deployment = cloud.deploy("hide.zip").await;
    assert_eq!(deployment["status"], "Succeeded");
    assert_eq!(instances.processes(), 2);
    let id = cloud.disk("i-1").display().to_string();
    let ours = || {
        let all = std::process::Command::new("ps").args(["-ewwo", "args"]).output().unwrap();
        String::from_utf8_lossy(&all.stdout).matches(&id).count()
    };
    assert_eq!(ours(), 1);
    drop(instances);
    assert_eq!(ours(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_dies_with_its_agent_and_one_ended_before_its_boot_is_gone_too() {
    let cloud = Cloud::start(1, POLLING).await;
    let instances = cloud.boot().await;
    cloud.put("web.zip", pack("r1", Variant::Healthy).unwrap());
    cloud.deploy("web.zip").await;
    let agent = processes::marked("").into_iter().find(|pid| {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.contains(&cloud.disk("i-1").display().to_string())
    });
    nix::sys::signal::kill(agent.unwrap(), nix::sys::signal::Signal::SIGKILL).unwrap();
    cloud.all_are("terminated").await;
    assert_eq!(instances.processes(), 0);

    let cloud = Cloud::start(1, POLLING).await;
    cloud.set_all("shutting-down");
    let _instances = cloud.play();
    cloud.all_are("terminated").await;
}

#[tokio::test]
async fn an_agent_whose_starter_is_gone_ends_what_it_has_started() {
    let mark = format!("{:016x}/", rand::random::<u64>());
    let start = |program: &str| {
        let mut command = tokio::process::Command::new(program);
        command.env(processes::MARK, &mark).stdin(std::process::Stdio::piped());
        command
    };
    let mut deaf = start("sh").args(["-c", "trap '' TERM; sleep 1000"]).spawn().unwrap();
    let arguments =
        "agent --instance i-1 --address 127.16.0.1 --root / --endpoint http://127.0.0.1:1 --shutdown-millis 50";
    let mut agent = start(env!("CARGO_BIN_EXE_tagship-local")).args(arguments.split(' ')).spawn().unwrap();
    drop(agent.stdin.take());
    assert!(agent.wait().await.unwrap().success());
    assert!(!deaf.wait().await.unwrap().success());
    assert_eq!(processes::marked(&mark), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_hook_is_told_with_its_log() {
    let cloud = Cloud::start(1, POLLING).await;
    let _instances = cloud.boot().await;
    cloud.put("web.zip", pack("r1", Variant::HookFails).unwrap());
    let deployment = cloud.deploy("web.zip").await;
    assert_eq!(deployment["status"], "Failed");
    assert_eq!(deployment["errorInformation"]["code"], "HEALTH_CONSTRAINTS");
    let (events, diagnostics) = cloud.events(&deployment, "i-1").await;
    assert_eq!(
        events,
        [
            "ApplicationStop Succeeded",
            "DownloadBundle Succeeded",
            "BeforeInstall Succeeded",
            "Install Succeeded",
            "AfterInstall Failed",
            "ApplicationStart Skipped",
            "ValidateService Skipped",
        ]
    );
    assert_eq!(
        diagnostics,
        json!({
            "errorCode": "ScriptFailed",
            "scriptName": "scripts/prepare.sh",
            "message": "Script at specified location: scripts/prepare.sh failed with exit code 1",
            "logTail": "LifecycleEvent - AfterInstall\nScript - scripts/prepare.sh\n\
                [stderr]migration 42: table users does not exist\n",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_says_of_archives_that_it_cannot_use() {
    let cloud = Cloud::start(1, POLLING).await;
    let _instances = cloud.boot().await;
    let hook = appspec("BeforeInstall", 1);
    let install = |files: &str| format!("version: 0.0\nos: linux\nfiles:\n{files}");
    let existing = install("  - source: a\n    destination: /etc\n");
    let absent = install("  - source: b\n    destination: /etc\n");
    std::fs::create_dir_all(cloud.disk("i-1").join("etc")).unwrap();
    std::fs::write(cloud.disk("i-1").join("etc/a"), "old").unwrap();
    let at = "Script at specified location: run.sh";
    type Case<'a> = (&'a str, Option<Vec<u8>>, &'a str, &'a str, String);
    let plain = "version: 0.0\nos: linux\nhooks: {BeforeInstall: [{location: run.sh}]}";
    let windows = "#!/bin/sh\r\nexit 0\r\n";
    let misspelt = "version: 0.0\nos: linux\nhooks: {AfterInstal: [{location: run.sh}]}";
    let cases: [Case<'_>; 13] = [
        ("no object", None, "DownloadBundle", "UnknownError", "The specified key does not exist.".into()),
        (
            "no zip",
            Some(b"plain text".to_vec()),
            "DownloadBundle",
            "UnknownError",
            "Zip end of central directory signature not found".into(),
        ),
        (
            "no appspec",
            Some(zip(&[("app/app.py", "")])),
            "BeforeInstall",
            "UnknownError",
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at \
             revision-relative path \"appspec.yml\"."
                .into(),
        ),
        (
            "no yaml",
            Some(zip(&[("appspec.yml", "version: [")])),
            "BeforeInstall",
            "UnknownError",
            "(<unknown>): did not find expected node content".into(),
        ),
        (
            "no script",
            Some(zip(&[("appspec.yml", &hook)])),
            "BeforeInstall",
            "ScriptMissing",
            "Script does not exist at specified location: /".into(),
        ),
        (
            "time-out",
            Some(zip(&[("appspec.yml", &hook), ("run.sh", "#!/bin/sh\nsleep 30\n")])),
            "BeforeInstall",
            "ScriptTimedOut",
            format!("{at} failed to complete in 1 seconds"),
        ),
        (
            "output left open",
            Some(zip(&[("appspec.yml", &hook), ("run.sh", "#!/bin/sh\nsleep 30 &\n")])),
            "BeforeInstall",
            "UnknownError",
            format!("{at} failed to close STDOUT"),
        ),
        (
            "exit code, in a directory that is stripped",
            Some(zip(&[("top/appspec.yml", &hook), ("top/run.sh", "#!/bin/sh\nexit 7\n")])),
            "BeforeInstall",
            "ScriptFailed",
            format!("{at} run as user web failed with exit code 7"),
        ),
        (
            "line ends of Windows",
            Some(zip(&[("appspec.yml", plain), ("run.sh", windows)])),
            "BeforeInstall",
            "ScriptFailed",
            format!("{at} failed with error Errno::ENOENT with message No such file or directory - /"),
        ),
        (
            "line ends of Windows, in a shell",
            Some(zip(&[("appspec.yml", &hook), ("run.sh", windows)])),
            "BeforeInstall",
            "ScriptFailed",
            format!("{at} run as user web failed with exit code 127 (run.sh has the line ends of Windows, CRLF"),
        ),
        (
            "unknown hook",
            Some(zip(&[("appspec.yml", misspelt)])),
            "Install",
            "UnknownError",
            "appspec.yml file contains unknown lifecycle events: [\"AfterInstal\"]".into(),
        ),
        (
            "file exists",
            Some(zip(&[("appspec.yml", &existing), ("a", "new")])),
            "Install",
            "UnknownError",
            "The deployment failed because a specified file already exists at this location: /".into(),
        ),
        (
            "file missing",
            Some(zip(&[("appspec.yml", &absent)])),
            "Install",
            "UnknownError",
            "No such file or directory @ rb_sysopen - /".into(),
        ),
    ];
    for (name, content, event, code, message) in cases {
        let key = format!("{name}.zip");
        if let Some(content) = content {
            cloud.put(&key, content);
        }
        let deployment = cloud.deploy(&key).await;
        assert_eq!(deployment["status"], "Failed", "{name}");
        let (events, diagnostics) = cloud.events(&deployment, "i-1").await;
        assert!(events.contains(&format!("{event} Failed")), "{name}: {events:?}");
        assert_eq!(diagnostics["errorCode"], code, "{name}");
        let told = diagnostics["message"].as_str().unwrap();
        assert!(told.starts_with(&message), "{name}: {told}");
        assert_eq!(told.contains("CRLF"), name.contains("Windows"), "{name}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_run_as_their_location_and_their_first_line_say() {
    let cloud = Cloud::start(1, POLLING).await;
    let _instances = cloud.boot().await;
    let plain = "echo ${1-nothing} >>$INSTANCE_ROOT/seen\n";
    let scripts = "
    - {location: plain.sh}
    - {location: plain.sh one}
    - {location: plain.sh, runas: web}
    - {location: 'plain.sh $LIFECYCLE_EVENT', runas: web}
    - {location: 'plain.sh $HOST;'}
";
    let spec = format!("version: 0.0\nos: linux\nhooks:\n  BeforeInstall:{scripts}");
    // The agent looks for a file of the whole location.
    let host = "plain.sh $HOST;";
    let names = ["plain.sh", "plain.sh one", "plain.sh $LIFECYCLE_EVENT", host];
    let mut files = vec![("appspec.yml", spec.as_str())];
    files.extend(names.map(|name| (name, plain)));
    cloud.put("plain.zip", zip(&files));
    let deployment = cloud.deploy("plain.zip").await;
    assert_eq!(deployment["status"], "Succeeded", "{:?}", cloud.events(&deployment, "i-1").await);
    let seen = std::fs::read_to_string(cloud.disk("i-1").join("seen")).unwrap();
    assert_eq!(seen, format!("nothing\none\nnothing\nBeforeInstall\n{}\n", cloud.address(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_appspec_outranks_the_deployment_and_is_warned_about() {
    let cloud = Cloud::start(1, POLLING).await;
    let _instances = cloud.boot().await;
    let disk = cloud.disk("i-1").join("etc");
    std::fs::create_dir_all(&disk).unwrap();
    std::fs::write(disk.join("a"), "old").unwrap();
    let spec = "version: 0.0\nos: linux\nfile_exists_behavior: RETAIN\nfiles: [{source: a, destination: /etc}]\n\
        permissions: [{object: /nowhere, mode: 0644}]\n";
    cloud.put("a.zip", zip(&[("appspec.yml", spec), ("a", "new")]));
    let mut request = cloud.request("a.zip");
    request["fileExistsBehavior"] = json!("OVERWRITE");
    let created = cloud.ok("CreateDeployment", request).await;
    let deployment = cloud.ended(created["deploymentId"].as_str().unwrap()).await;
    assert_eq!(deployment["status"], "Succeeded");
    assert_eq!(std::fs::read_to_string(disk.join("a")).unwrap(), "old");
    let id = json!({"deploymentId": deployment["deploymentId"], "targetIds": ["i-1"]});
    let targets = cloud.ok("BatchGetDeploymentTargets", id).await;
    let events = &targets["deploymentTargets"][0]["instanceTarget"]["lifecycleEvents"];
    let install = events.as_array().unwrap().iter().find(|event| event["lifecycleEventName"] == "Install").unwrap();
    let told = install["diagnostics"]["message"].as_str().unwrap();
    assert!(told.starts_with("Succeeded: permissions of /nowhere: `mode: 0644` without quotes"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_know_where_they_are_and_one_success_is_enough() {
    let cloud = Cloud::start(2, POLLING).await;
    let _instances = cloud.boot().await;
    let script = "#!/bin/sh\necho \"$LIFECYCLE_EVENT $APPLICATION_NAME $DEPLOYMENT_GROUP_NAME $BUNDLE_BUCKET $BUNDLE_KEY \
        $BUNDLE_VERSION $HOST ${DEPLOYMENT_ID%-*} ${AWS_SECRET_ACCESS_KEY-unset}\" >$INSTANCE_ROOT/seen\n[ $INSTANCE_ID = i-1 ]\n";
    cloud.put("some key.zip", zip(&[("appspec.yml", &appspec("ValidateService", 5)), ("run.sh", script)]));
    let deployment = cloud.deploy("some key.zip").await;
    assert_eq!(deployment["status"], "Succeeded");
    assert_eq!(deployment["deploymentOverview"]["Succeeded"], 1);
    assert_eq!(deployment["deploymentOverview"]["Failed"], 1);
    let seen = std::fs::read_to_string(cloud.disk("i-1").join("seen")).unwrap();
    let address = cloud.address(0);
    assert_eq!(seen, format!("ValidateService web web artifacts some key.zip v1 {address} d unset\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deployment_at_a_time_and_stop_ends_it() {
    let cloud = Cloud::start(1, POLLING).await;
    let _instances = cloud.boot().await;
    let script = "#!/bin/sh\ntouch $INSTANCE_ROOT/began\nwhile [ ! -f $INSTANCE_ROOT/go ]; do sleep 0.05; done\n";
    cloud.put("long.zip", zip(&[("appspec.yml", &appspec("BeforeInstall", 30)), ("run.sh", script)]));
    let first = cloud.ok("CreateDeployment", cloud.request("long.zip")).await;
    let second = cloud.call("CreateDeployment", cloud.request("long.zip")).await;
    assert_eq!(second, Err("DeploymentLimitExceededException".into()));
    while !cloud.disk("i-1").join("began").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = json!({"deploymentId": first["deploymentId"]});
    assert_eq!(cloud.ok("StopDeployment", id.clone()).await["status"], "Succeeded");
    let again = cloud.call("StopDeployment", id).await;
    assert_eq!(again, Err("DeploymentAlreadyCompletedException".into()));
    let stopped = cloud.ended(first["deploymentId"].as_str().unwrap()).await;
    assert_eq!((&stopped["status"], &stopped["errorInformation"]["code"]), (&json!("Stopped"), &json!("MANUAL_STOP")));
    std::fs::write(cloud.disk("i-1").join("go"), "").unwrap();
    // The agent ends what it was at, and the next deployment finds it ready.
    cloud.put("web.zip", pack("r2", Variant::Healthy).unwrap());
    assert_eq!(cloud.deploy("web.zip").await["status"], "Succeeded");
    assert_eq!(version(&cloud, 0).await, "r2 on i-1");
}
