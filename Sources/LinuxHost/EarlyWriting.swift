import CHost
public import Model

/// Lets the kernel write a part of a file to the disk while more of it is made, so that a later fsync(2) has little left to
/// wait for (sync_file_range(2)). It promises nothing, so that a filesystem that cannot do it is none the worse.
/// - Parameters:
///   - offset: first byte.
///   - count: bytes.
public func startWriting(_ file: OwnedDescriptor, from offset: Int64, count: Int64) {
    _ = isle_start_writing(file.raw, offset, count)
}
