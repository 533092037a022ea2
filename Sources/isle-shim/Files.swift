import CHost

/// All bytes up to end of file, at most `limit`; an error number when reading fails or there is more.
func readAll(_ descriptor: Int32, limit: Int) -> Result<[UInt8], ReadFailure> {
    var bytes: [UInt8] = []
    let size = 4096
    var buffer = [UInt8](repeating: 0, count: size)
    while true {
        let count = isle_read(descriptor, &buffer, size)
        if count == -Int(EINTR) { continue }
        if count < 0 { return .failure(ReadFailure(number: Int32(-count))) }
        if count == 0 { return .success(bytes) }
        bytes.append(contentsOf: buffer[..<count])
        if bytes.count > limit { return .failure(ReadFailure(number: EFBIG)) }
    }
}

struct ReadFailure: Error {
    var number: Int32
}

/// The content of a small file; nil if it cannot be read.
func readFile(_ path: String) -> [UInt8]? {
    let descriptor = isle_open_read(path)
    guard descriptor >= 0 else { return nil }
    defer { isle_close(descriptor) }
    if case .success(let bytes) = readAll(descriptor, limit: 1 << 16) { return bytes }
    return nil
}

/// Writes all of `bytes` to an existing file: 0 or a negative error number.
@discardableResult
func writeFile(_ path: String, _ bytes: [UInt8], create: Bool = false) -> Int32 {
    let descriptor = create ? isle_create(path) : isle_open_write(path)
    guard descriptor >= 0 else { return descriptor }
    defer { isle_close(descriptor) }
    return writeAll(descriptor, bytes)
}

/// Writes all of `bytes`: 0 or a negative error number.
func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Int32 {
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { raw in
            isle_write(descriptor, raw.baseAddress.map { $0 + done }, raw.count - done)
        }
        if count == -Int(EINTR) { continue }
        if count < 0 { return Int32(count) }
        done += count
    }
    return 0
}

/// What is in a pipe right now, without waiting, at most 8 KiB, surrounding white space taken off.
func wordsIn(_ descriptor: Int32) -> String {
    _ = isle_nonblocking(descriptor, 1)
    var bytes: [UInt8] = []
    let size = 8192
    var buffer = [UInt8](repeating: 0, count: size)
    while bytes.count < size {
        let count = isle_read(descriptor, &buffer, size - bytes.count)
        if count <= 0 { break }
        // NUL would not pass the protocol.
        for byte in buffer[..<count] { bytes.append(byte == 0 ? 0x20 : byte) }
    }
    while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
    return String(decoding: bytes.drop { $0 <= 0x20 }, as: UTF8.self)
}

/// What a runtime said before it failed: on its standard error, or, once that is the new terminal, there.
func runtimeWords(_ errors: Int32, _ master: Int32) -> String {
    let words = wordsIn(errors)
    return words.isEmpty && master >= 0 ? wordsIn(master) : words
}

/// `pid starttime`, for a later reader to tell the process from one that got its number.
func recordProcess(_ pid: Int32, in path: String) {
    var line: [UInt8] = []
    appendDecimal(Int64(pid), to: &line)
    line.append(0x20)
    line.append(contentsOf: startTime(of: pid))
    line.append(0x0A)
    let temporary = path + ".new"
    if writeFile(temporary, line, create: true) == 0 { _ = isle_rename(temporary, path) }
}

/// Field 22 of proc_pid_stat(5), as digits; `0` if there is no such process.
private func startTime(of pid: Int32) -> ArraySlice<UInt8> {
    let none: [UInt8] = [0x30]
    guard let stat = readFile("/proc/" + decimal(pid) + "/stat"), let close = stat.lastIndex(of: 0x29) else {
        return none[...]
    }
    let fields = stat[(close + 1)...].split(separator: 0x20)
    return fields.count > 19 ? fields[19] : none[...]
}

/// A pipe whose ends close on exec.
struct Pipe {
    var read: Int32
    var write: Int32

    init() throws(ShimFailure) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutablePointer(to: &ends) { pointer in
            pointer.withMemoryRebound(to: Int32.self, capacity: 2) { isle_pipe2($0) }
        }
        if result < 0 { throw failure("making a pipe", result) }
        read = ends.0
        write = ends.1
    }
}

func closeIfOpen(_ descriptor: inout Int32) {
    if descriptor >= 0 { isle_close(descriptor) }
    descriptor = -1
}
