//! Terraform with the provider as people install it: a link to the binary in a folder of providers.

#[allow(dead_code, reason = "only some of its steps are taken here")]
#[path = "../../../gate-terraform/tests/it/program.rs"]
mod program;

use program::Program;
use std::os::unix::fs::symlink;

/// Terraform that finds the provider in a mirror, which is a link to this binary.
fn mirrored(test: &str) -> Option<Program> {
    let program = Program::find(test)?;
    let version = env!("CARGO_PKG_VERSION");
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let source = "registry.terraform.io/tidegate/tidegate";
    let mirror = program.path().join("mirror");
    let folder = mirror.join(format!("{source}/{version}/{system}_{machine}"));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join(format!("terraform-provider-tidegate_v{version}"));
    symlink(env!("CARGO_BIN_EXE_tidegate"), link).unwrap();
    let path = mirror.display();
    let settings = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n}}\n"
    );
    program.write("cli.tfrc", &settings);
    Some(program)
}

#[test]
fn a_link_to_the_binary_is_a_provider() {
    let Some(terraform) = mirrored("a_link_to_the_binary") else {
        return;
    };
    // Nobody listens there: planning what is new needs no server, and says that none was asked.
    terraform.write(
        "main.tf",
        r#"
provider "tidegate" {
  server      = "http://127.0.0.1:1"
  environment = "staging"
}
resource "tidegate_route" "r" {
  name   = "r"
  match  = { path = "/r" }
  target = { fixed = { status = 204 } }
}
"#,
    );
    terraform.must(&["init"]);
    terraform.must(&["validate"]);
    let told = terraform.exits(&["plan", "-detailed-exitcode"], 2);
    assert!(told.contains("tidegate_route.r will be created"), "{told}");
    assert!(told.contains("could not check this plan"), "{told}");
    let told = terraform.exits(&["apply", "-auto-approve"], 1);
    assert!(told.contains("routes/r was not changed"), "{told}");
    let wrong = "resource \"tidegate_team\" \"t\" {\n  nam = \"t\"\n}\n";
    terraform.write("wrong.tf", wrong);
    let told = terraform.exits(&["validate"], 1);
    assert!(told.contains("\"nam\""), "{told}");
}
