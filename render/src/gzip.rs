//! Bytes into a gzip stream (RFC 1952), in constant memory.

use flame_core::symbols::debug_file::crc32_with;
use miniz_oxide::DataFormat;
use miniz_oxide::deflate::CompressionLevel;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output};
use std::io::{self, Write};

/// Compresses what is written into `out`. [`Gzip::finish`] ends the stream.
pub struct Gzip<'a> {
    out: &'a mut dyn Write,
    deflate: Box<CompressorOxide>,
    crc: u32,
    length: u32,
}

impl<'a> Gzip<'a> {
    /// Writes the head: no name, no time, so that equal profiles give equal bytes.
    pub fn new(out: &'a mut dyn Write) -> io::Result<Self> {
        const UNKNOWN_SYSTEM: u8 = 255;
        out.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, UNKNOWN_SYSTEM])?;
        let deflate = CompressorOxide::with_format_and_level(DataFormat::Raw, CompressionLevel::DefaultLevel);
        Ok(Gzip { out, deflate: Box::new(deflate), crc: !0, length: 0 })
    }

    /// Writes what is left and the check sums.
    pub fn finish(mut self) -> io::Result<()> {
        self.deflate(&[], TDEFLFlush::Finish)?;
        self.out.write_all(&(!self.crc).to_le_bytes())?;
        self.out.write_all(&self.length.to_le_bytes())
    }

    fn deflate(&mut self, bytes: &[u8], flush: TDEFLFlush) -> io::Result<()> {
        let mut result = Ok(());
        let (status, _) = compress_to_output(&mut self.deflate, bytes, flush, |piece| {
            result = self.out.write_all(piece);
            result.is_ok()
        });
        result?;
        match status {
            TDEFLStatus::Okay | TDEFLStatus::Done => Ok(()),
            _ => Err(io::Error::other("compression failed")),
        }
    }
}

impl Write for Gzip<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.deflate(bytes, TDEFLFlush::None)?;
        self.crc = crc32_with(self.crc, bytes);
        self.length = self.length.wrapping_add(bytes.len() as u32);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zipped(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut gzip = Gzip::new(&mut out).unwrap();
        for piece in pieces {
            gzip.write_all(piece).unwrap();
        }
        gzip.finish().unwrap();
        out
    }

    #[test]
    fn what_goes_in_comes_out_smaller() {
        let text = "the same words again and again; ".repeat(10_000);
        let out = zipped(&[&text.as_bytes()[..1000], &text.as_bytes()[1000..]]);
        assert!(out.len() < text.len() / 50, "{}", out.len());
        let body = &out[10..out.len() - 8];
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(body).unwrap(), text.as_bytes());
    }

    #[test]
    fn the_stream_ends_in_check_sum_and_length() {
        let out = zipped(&[b"123456789"]);
        assert_eq!(out[out.len() - 8..], [0x26, 0x39, 0xf4, 0xcb, 9, 0, 0, 0]);
    }

    #[test]
    fn a_full_disk_is_reported() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if bytes.len() == 10 { Ok(10) } else { Err(io::ErrorKind::StorageFull.into()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut full = Full;
        let mut gzip = Gzip::new(&mut full).unwrap();
        let _ = gzip.write_all(b"text");
        assert_eq!(gzip.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
