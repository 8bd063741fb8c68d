use eddy_schemas::Place;
use eddy_schemas::parse::*;
fn main() {
    let bytes = std::fs::read("/work/tmp/w2-parse.ndjson").unwrap();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let context = Context { place: Place(0), received_at_ms: None, now: 4_000_000_000 };
    let mut p = Parser::default();
    for _ in 0..10 { let t=cpu(); for l in &lines { std::hint::black_box(p.parse(l,&context)); } println!("{}", (cpu()-t)/lines.len() as u64); }
}
fn cpu()->u64{ std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(" ").next().unwrap().parse().unwrap() }
