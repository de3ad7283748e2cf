//! What rules mean, on small sets of them.

use gate_waf::{
    Decision, Engine, Exclusion, Exclusions, Files, Loader, RECOMMENDED, Request, RuleSet,
    Transaction,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

struct Words;

impl Files for Words {
    fn read(&self, name: &str, _: &str) -> Result<Vec<u8>, String> {
        match name {
            "words.data" => Ok(b"# words\nalpha\nbeta\n".to_vec()),
            "more.conf" => Ok(b"SecAction \"id:77,phase:1,pass,log,msg:'included'\"".to_vec()),
            _ => Err(format!("there is no {name}")),
        }
    }
}

fn load(text: &str) -> Result<Arc<RuleSet>, String> {
    let mut loader = Loader::new(&Words);
    loader.add("recommended.conf", RECOMMENDED);
    loader.add("rules.conf", text);
    let problems = |problems: Vec<gate_waf::Problem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    loader.finish().map(Arc::new).map_err(problems)
}

fn send(
    rules: &Arc<RuleSet>,
    exclusions: Option<Arc<Exclusions>>,
    engine: Engine,
    uri: &str,
    headers: &[(&str, &str)],
) -> Transaction {
    let mut transaction = Transaction::new(rules.clone(), exclusions, Some(engine));
    let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let request = Request {
        client: local,
        server: local,
        method: b"GET",
        uri: uri.as_bytes(),
        protocol: b"HTTP/1.1",
        id: b"1",
    };
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    transaction.request_headers(&request, headers);
    transaction.request_body(b"", false);
    transaction.response_headers(200, b"HTTP/1.1", std::iter::empty());
    transaction.finish();
    transaction
}

/// The ids that a request matches.
fn ids(text: &str, uri: &str) -> Vec<u32> {
    let rules = load(text).expect("rules load");
    let transaction = send(
        &rules,
        None,
        Engine::DetectionOnly,
        uri,
        &[("Host", "h"), ("Cookie", "a=1; b=x")],
    );
    transaction.matches().iter().map(|one| one.id).collect()
}

#[test]
fn chains_match_as_a_whole() {
    let text = r#"
SecRule ARGS:a "@rx ^(x)(y)?$" "id:1,phase:2,pass,capture,chain,msg:'m %{tx.n}'"
    SecRule TX:1 "@streq x" "chain"
    SecRule ARGS:b "@eq 3" "setvar:tx.n=+2"
"#;
    assert_eq!(ids(text, "/?a=x&b=3"), [1]);
    assert_eq!(ids(text, "/?a=xy&b=3"), [1]);
    assert!(ids(text, "/?a=x&b=4").is_empty());
    assert!(ids(text, "/?a=z&b=3").is_empty());
}

#[test]
fn targets_are_selected_counted_and_left_out() {
    let text = r#"
SecRule ARGS|!ARGS:ok|!ARGS:/^skip/ "@rx bad" "id:1,phase:2,pass,log"
SecRule &ARGS "@eq 2" "id:2,phase:2,pass,log"
SecRule ARGS_NAMES "@streq two" "id:3,phase:2,pass,log"
SecRule &REQUEST_HEADERS:X-None "@eq 0" "id:4,phase:1,pass,log"
SecRule REQUEST_COOKIES:/^b/ "@streq x" "id:5,phase:1,pass,log"
SecRuleUpdateTargetById 1 "!ARGS:fine"
"#;
    assert_eq!(ids(text, "/?ok=bad&skip_it=bad"), [4, 5, 2]);
    assert_eq!(ids(text, "/?x=BAD&fine=bad&y=bad"), [4, 5, 1]);
    assert_eq!(ids(text, "/?two=1"), [4, 5, 3]);
}

#[test]
fn markers_skip_and_ctl_removes() {
    let text = r#"
SecRule ARGS:skip "@eq 1" "id:1,phase:2,pass,nolog,skipAfter:END"
SecRule ARGS "@rx ." "id:2,phase:2,pass,log,tag:'t'"
SecMarker END
SecRule ARGS:off "@eq 1" "id:3,phase:2,pass,nolog,ctl:ruleRemoveById=4-5"
SecRule ARGS:part "@eq 1" "id:6,phase:2,pass,nolog,ctl:ruleRemoveTargetByTag=u;ARGS:part"
SecRule ARGS "@rx ." "id:4,phase:2,pass,log,tag:'u'"
"#;
    assert_eq!(ids(text, "/?skip=1"), [4]);
    assert_eq!(ids(text, "/?off=1"), [2]);
    assert_eq!(ids(text, "/?part=1"), [2]);
    assert_eq!(ids(text, "/?part=1&other=1"), [2, 4]);
}

#[test]
fn ctl_leaves_out_by_id_tag_and_message() {
    let text = |ctl: &str| {
        format!(
            r#"
SecAction "id:1,phase:1,pass,nolog,ctl:{ctl}"
SecRule ARGS|REQUEST_HEADERS:Host "@rx ." "id:10,phase:2,pass,log,tag:'t',msg:'one'"
SecRule ARGS:b "@rx ." "id:11,phase:2,pass,log,tag:'u/v',msg:'two'"
"#
        )
    };
    for (ctl, found) in [
        ("ruleRemoveById=10", &[11][..]),
        ("ruleRemoveById=10-11", &[]),
        ("ruleRemoveByTag=u/v", &[10]),
        ("ruleRemoveByMsg=two", &[10]),
        // The header is still looked at.
        ("ruleRemoveTargetById=10;ARGS", &[10, 11]),
        ("ruleRemoveTargetById=11;ARGS:b", &[10]),
        ("ruleRemoveTargetByTag=u/v;ARGS", &[10]),
        ("ruleRemoveTargetByMsg=two;ARGS:/^b/", &[10]),
        ("auditEngine=Off", &[10, 11]),
    ] {
        assert_eq!(ids(&text(ctl), "/?b=1"), found, "{ctl}");
    }
    let problem = load(&text("ruleRemoveTargetById=10")).err();
    assert!(problem.expect("refused").contains("names no variable"));
    assert!(load(&text("somethingElse=1")).is_err());
}

#[test]
fn ctl_switches_the_engine_and_never_against_whoever_only_detects() {
    let text = r#"
SecRule ARGS:mode "@streq off" "id:1,phase:1,pass,nolog,ctl:ruleEngine=Off"
SecRule ARGS:mode "@streq detect" "id:2,phase:1,pass,nolog,ctl:ruleEngine=DetectionOnly"
SecRule ARGS:mode "@streq on" "id:3,phase:1,pass,nolog,ctl:ruleEngine=On"
SecRule ARGS:a "@streq bad" "id:4,phase:2,deny,log"
"#;
    let rules = load(text).expect("rules load");
    for (engine, mode, noted, passes) in [
        (Engine::On, "x", 1, false),
        (Engine::On, "off", 0, true),
        (Engine::On, "detect", 1, true),
        (Engine::DetectionOnly, "on", 1, true),
    ] {
        let uri = format!("/?mode={mode}&a=bad");
        let transaction = send(&rules, None, engine, &uri, &[("Host", "h")]);
        let seen = (
            transaction.matches().len(),
            transaction.decision().is_pass(),
        );
        assert_eq!(seen, (noted, passes), "{engine:?}, {mode}");
    }
}

#[test]
fn ctl_says_how_bodies_are_read() {
    let text = r#"
SecRule REQUEST_HEADERS:X-As "@streq json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:X-As "@streq xml" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML,ctl:forceRequestBodyVariable=On"
SecRule REQUEST_HEADERS:X-As "@streq none" "id:3,phase:1,pass,nolog,ctl:requestBodyAccess=Off"
SecRule ARGS:json.q "@streq bad" "id:10,phase:2,pass,log"
SecRule XML:/* "@streq bad" "id:11,phase:2,pass,log"
SecRule XML://@* "@streq worse" "id:12,phase:2,pass,log"
SecRule REQUEST_BODY "@contains bad" "id:13,phase:2,pass,log"
SecRule RESPONSE_BODY "@contains secret" "id:14,phase:4,pass,log"
SecRule REQUEST_HEADERS:X-As "@streq closed" "id:15,phase:3,pass,nolog,ctl:responseBodyAccess=Off"
"#;
    let rules = load(text).expect("rules load");
    let found = |kind: &'static str, body: &str| {
        let mut transaction = Transaction::new(rules.clone(), None, Some(Engine::On));
        let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
        let request = Request {
            client: local,
            server: local,
            method: b"POST",
            uri: b"/",
            protocol: b"HTTP/1.1",
            id: b"1",
        };
        let headers = [(&b"X-As"[..], kind.as_bytes())];
        transaction.request_headers(&request, headers.into_iter());
        transaction.request_body(body.as_bytes(), false);
        let html = [(&b"Content-Type"[..], &b"text/html"[..])];
        transaction.response_headers(200, b"HTTP/1.1", html.into_iter());
        if transaction.wants_response_body() {
            transaction.response_body(b"a secret", false);
        }
        transaction.finish();
        let matches = transaction.matches().iter();
        matches.map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(found("json", r#"{"q": "bad"}"#), [10, 13, 14]);
    assert_eq!(found("xml", "<a b='worse'>bad</a>"), [11, 12, 13, 14]);
    assert_eq!(found("none", "bad"), [14]);
    assert_eq!(found("closed", "bad"), [13]);
}

#[test]
fn variables_are_written_and_read() {
    let text = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.limit=5,setvar:'tx.name_%{request_method}=%{tx.limit}'"
SecRule TX:/^name_/ "@eq 5" "id:2,phase:1,pass,log,msg:'%{MATCHED_VAR_NAME}'"
SecRule ARGS "@rx ." "id:3,phase:2,pass,nolog,setvar:tx.score=+%{tx.limit}"
SecRule TX:score "@ge 10" "id:4,phase:2,pass,log,msg:'%{tx.score}'"
SecAction "id:5,phase:2,pass,nolog,setvar:!tx.score"
SecRule &TX:score "@eq 0" "id:6,phase:2,pass,log"
"#;
    assert_eq!(ids(text, "/?a=1&b=2"), [2, 4, 6]);
    assert_eq!(ids(text, "/?a=1"), [2, 6]);
    let transaction = send(&load(text).unwrap(), None, Engine::On, "/?a=1&b=2", &[]);
    assert_eq!(transaction.matches()[0].message, "TX:name_get");
    assert_eq!(transaction.matches()[1].message, "10");
}

#[test]
fn transformations_and_words() {
    let text = r#"
SecRule ARGS "@pmFromFile words.data" "id:1,phase:2,pass,log,t:none,t:base64Decode"
SecRule ARGS "@rx ^a$" "id:2,phase:2,pass,log,t:lowercase,multiMatch"
Include more.conf
"#;
    assert_eq!(ids(text, "/?a=QWxwaGE="), [77, 1]);
    assert_eq!(ids(text, "/?a=A"), [77, 2]);
}

#[test]
fn the_engine_decides() {
    let text = r#"
SecRule ARGS:a "@eq 1" "id:1,phase:1,deny,status:406,log"
SecRule ARGS:a "@eq 2" "id:2,phase:2,redirect:'/to/%{args.a}',log"
SecRule ARGS:a "@eq 3" "id:3,phase:1,allow,nolog"
SecRule ARGS:a "@ge 3" "id:4,phase:2,drop,log"
"#;
    let rules = load(text).unwrap();
    let decision = |engine, uri: &str| send(&rules, None, engine, uri, &[]).decision().clone();
    assert_eq!(
        decision(Engine::On, "/?a=1"),
        Decision::Deny {
            status: 406,
            rule: 1
        }
    );
    assert_eq!(decision(Engine::DetectionOnly, "/?a=1"), Decision::Pass);
    let detected = send(&rules, None, Engine::DetectionOnly, "/?a=1", &[]);
    assert_eq!(
        detected.would_be(),
        Some(&Decision::Deny {
            status: 406,
            rule: 1
        })
    );
    let redirect = Decision::Redirect {
        status: 302,
        location: "/to/2".into(),
        rule: 2,
    };
    assert_eq!(decision(Engine::On, "/?a=2"), redirect);
    assert_eq!(decision(Engine::On, "/?a=3"), Decision::Pass);
    assert_eq!(decision(Engine::On, "/?a=4"), Decision::Drop { rule: 4 });
    assert_eq!(decision(Engine::Off, "/?a=4"), Decision::Pass);
}

#[test]
fn exclusions_leave_out_rules_and_members() {
    let rules = load(r#"SecRule ARGS "@rx bad" "id:1,phase:2,deny,log,tag:'t'""#).unwrap();
    let compile = |list: &[Exclusion]| Exclusions::compile(&rules, list).map(Arc::new);
    for (exclusion, uri, matches) in [
        (Exclusion::Rule(1), "/?a=bad", false),
        (Exclusion::Tag("t".into()), "/?a=bad", false),
        (Exclusion::RuleTarget(1, "ARGS:a".into()), "/?a=bad", false),
        (Exclusion::RuleTarget(1, "ARGS:a".into()), "/?b=bad", true),
        (
            Exclusion::TagTarget("t".into(), "ARGS:/^a/".into()),
            "/?ab=bad",
            false,
        ),
    ] {
        let exclusions = compile(std::slice::from_ref(&exclusion)).expect("it is found");
        let transaction = send(&rules, Some(exclusions), Engine::On, uri, &[]);
        assert_eq!(
            !transaction.matches().is_empty(),
            matches,
            "{exclusion:?} {uri}"
        );
    }
    for wrong in [
        Exclusion::Rule(9),
        Exclusion::RuleTarget(1, "FILES".into()),
        Exclusion::RuleTarget(1, "BOGUS".into()),
    ] {
        assert!(compile(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (text, told) in [
        (
            "SecRule ARGS \"@rx (\" \"id:1\"",
            "rules.conf:1: the pattern `(` cannot be run",
        ),
        (
            "\nSecRule BOGUS \"@rx a\" \"id:1\"",
            "rules.conf:2: `BOGUS` is no variable",
        ),
        (
            "SecRule ARGS \"@bogus a\" \"id:1\"",
            "`@bogus` is no operator",
        ),
        (
            "SecRule ARGS \"@rx a\" \"id:1,t:bogus\"",
            "`t:bogus` is no transformation",
        ),
        ("SecRule ARGS \"@rx a\" \"phase:1\"", "the rule has no `id`"),
        (
            "SecRule ARGS \"@rx a\" \"id:1,bogus\"",
            "`bogus` is no action",
        ),
        (
            "SecRule ARGS \"@pmFromFile none\" \"id:1\"",
            "there is no none",
        ),
        ("SecBogus On", "`secbogus` is no directive"),
        ("SecAction \"id:1,chain\"", "`chain` is not followed"),
        (
            "SecAction \"id:1\"\nSecAction \"id:1\"",
            "rules.conf:2: id 1 is taken by rules.conf:1",
        ),
        ("SecRule XML:/a \"@rx a\" \"id:1\"", "XPath"),
        ("SecRule ARGS \"@rx (?=a)\" \"id:1\"", "look-around"),
    ] {
        let problems = load(text).err().unwrap_or_default();
        assert!(problems.contains(told), "{text}: {problems}");
    }
}

#[test]
fn no_rule_makes_values_grow_without_end() {
    let rule = |steps: usize| {
        let steps = "t:hexEncode,".repeat(steps);
        format!("SecRule ARGS \"@eq 1048576\" \"id:1,phase:2,pass,log,{steps}t:length\"")
    };
    // Doubled 60 times, a letter would be an exbibyte; it ends at a mebibyte.
    assert_eq!(ids(&rule(60), "/?a=b"), [1]);
    let told = load(&rule(65)).map(drop).expect_err("too many");
    assert!(told.contains("more than 64 transformations"), "{told}");
    // One more is fine where the first are taken back.
    let back = "t:lowercase,".repeat(60);
    let back = format!("SecRule ARGS \"@rx b\" \"id:2,phase:2,pass,{back}t:none,{back}log\"");
    assert_eq!(ids(&back, "/?a=B"), [2]);
}
