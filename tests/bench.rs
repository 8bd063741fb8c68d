//! `eddy bench` on a small workload: the engine's tables are the hand-written loop's, and the figures are there.

use std::process::Command;

use serde_json::Value;

fn bench(arguments: &[&str]) -> (String, std::process::ExitStatus) {
    let output = Command::new(env!("CARGO_BIN_EXE_eddy")).arg("bench").args(arguments).output().expect("eddy starts");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (stdout, output.status)
}

#[test]
fn the_engine_agrees_with_the_hand_written_loop() {
    let (stdout, _) = bench(&["--records", "20000", "--runs", "1", "--json"]);
    let result: Value = serde_json::from_str(&stdout).expect("one JSON document");
    let workloads = result["workloads"].as_array().expect("workloads");
    assert_eq!(workloads.iter().map(|w| w["workload"].as_str()).collect::<Vec<_>>(), [Some("w1"), Some("w2")]);
    for workload in workloads {
        assert_eq!(workload["tables_agree"], true);
        assert!(workload["rows_equal"].as_u64() > Some(5_000), "{workload}");
        let configurations = workload["configurations"].as_array().expect("configurations");
        assert_eq!(configurations.iter().map(|c| c["workers"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
        for configuration in configurations {
            for figure in ["records_per_second", "records_per_cpu_second", "peak_rss_bytes"] {
                for of in ["min", "median", "ratio"] {
                    assert!(configuration[of][figure].as_f64() > Some(0.0), "{of} {figure}: {configuration}");
                }
            }
            assert_eq!(configuration["runs"].as_array().map(Vec::len), Some(1));
        }
    }
}

#[test]
fn a_named_folder_is_kept_and_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("text");
    let arguments = ["--records", "2000", "--runs", "1", "--workload", "w2", "--workers", "1", "--dir", path];
    let (table, _) = bench(&arguments);
    assert!(table.contains("eddy, 1 worker"), "{table}");
    let file = folder.path().join("w2-2000/part-000.ndjson");
    let written = |path: &std::path::Path| path.metadata().and_then(|file| file.modified()).expect("written");
    let first = written(&file);
    bench(&arguments);
    assert_eq!(written(&file), first);
}
