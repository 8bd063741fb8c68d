//! Archives that the tests make, whole and broken.

use std::io::Write;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(vec![], bzip2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    // As the program `zstd` does: with a checksum, without which damage may go unseen.
    let mut encoder = zstd::stream::write::Encoder::new(vec![], 1).expect("memory");
    encoder.include_checksum(true).and_then(|()| encoder.write_all(bytes)).and_then(|()| encoder.finish()).expect("memory")
}
