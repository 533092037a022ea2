import CHost

/// A stream's name in the log.
public enum LogStream: Sendable {
    case output
    case error

    var name: StaticString {
        switch self {
        case .output: "stdout"
        case .error: "stderr"
        }
    }
}

/// Writes the CRI log format: one entry a line, `2026-01-31T12:00:00.000000000Z stdout F text`. The tag is F for a
/// whole line and P for a part that the next entry of the stream goes on. Rotates by size, always between entries.
///
/// No failure of the disk goes further than this type: entries that cannot be written whole are left out, and their
/// number is logged as soon as writing works again.
public struct LogFile: ~Copyable {
    private let path: String
    private let maxSize: Int64
    private let files: Int
    private var descriptor: Int32 = -1
    /// Bytes of the file that are known to be whole entries.
    private var size: Int64 = 0
    private var pending: [UInt8] = []
    private var pendingEntries: Int64 = 0
    private var lost: Int64 = 0
    private var lostReason: Int32 = 0
    private var stamp: [UInt8] = []

    /// Bytes after which collected entries are written.
    private static let batch = 16 << 10

    /// Opens `path` for appending. An entry that a crash had cut short is ended first.
    /// - Throws: the error number, negative, of opening.
    public init(path: String, maxSize: Int64, files: Int) throws(LogOpenFailure) {
        self.path = path
        self.maxSize = maxSize
        self.files = max(1, files)
        let result = open()
        if result < 0 { throw LogOpenFailure(number: -result) }
    }

    deinit { if descriptor >= 0 { isle_close(descriptor) } }

    /// Takes the time that the entries appended from now on carry.
    public mutating func setTime(seconds: Int64, nanoseconds: Int64) {
        stamp = Timestamp.text(seconds: seconds, nanoseconds: nanoseconds)
    }

    /// Adds an entry; it is on its way to the disk after `flush`.
    public mutating func append(_ stream: LogStream, whole: Bool, _ text: some Collection<UInt8>) {
        let length = stamp.count + 10 + text.count + 1
        if maxSize > 0, size + Int64(pending.count) > 0, size + Int64(pending.count + length) > maxSize {
            flush()
            if size > 0 { rotate() }
        }
        pending.append(contentsOf: stamp)
        pending.append(0x20)
        stream.name.withUTF8Buffer { pending.append(contentsOf: $0) }
        pending.append(0x20)
        pending.append(whole ? 0x46 : 0x50)
        pending.append(0x20)
        pending.append(contentsOf: text)
        pending.append(0x0A)
        pendingEntries += 1
        if pending.count >= Self.batch { flush() }
    }

    /// Writes what was appended.
    public mutating func flush() {
        guard !pending.isEmpty else { return }
        if descriptor < 0 { _ = open() }
        if lost > 0, descriptor >= 0 { reportLoss() }
        let result = descriptor < 0 ? lostReason : write(pending)
        if result != 0 {
            lost += pendingEntries
            lostReason = result
        }
        pending.removeAll(keepingCapacity: pending.capacity <= 4 * Self.batch)
        pendingEntries = 0
    }

    /// Opens the path anew, for when somebody else renamed the file.
    public mutating func reopen() {
        flush()
        if descriptor >= 0 { isle_close(descriptor) }
        _ = open()
    }

    private mutating func open() -> Int32 {
        descriptor = isle_open_append(path)
        guard descriptor >= 0 else {
            let result = descriptor
            lostReason = -result
            descriptor = -1
            return result
        }
        size = max(0, isle_size(descriptor))
        var last: UInt8 = 0x0A
        if size > 0, isle_pread(descriptor, &last, 1, size - 1) == 1, last != 0x0A {
            last = 0x0A
            if isle_write(descriptor, &last, 1) == 1 { size += 1 }
        }
        return 0
    }

    /// Writes all of `bytes`, or takes back what part of them was written: 0 or an error number.
    private mutating func write(_ bytes: [UInt8]) -> Int32 {
        var done = 0
        var failure: Int32 = 0
        bytes.withUnsafeBytes { raw in
            while done < raw.count {
                let count = isle_write(descriptor, raw.baseAddress.map { $0 + done }, raw.count - done)
                if count > 0 {
                    done += count
                } else if count != -Int(EINTR) {
                    failure = Int32(-count)
                    return
                }
            }
        }
        if failure == 0 {
            size += Int64(bytes.count)
        } else if done > 0, isle_truncate(descriptor, size) < 0 {
            size += Int64(done)
        }
        return failure
    }

    private mutating func reportLoss() {
        var text = stamp
        text.append(contentsOf: " stderr F isle: ".utf8)
        appendDecimal(lost, to: &text)
        text.append(contentsOf: " log entries were lost: error ".utf8)
        appendDecimal(Int64(lostReason), to: &text)
        text.append(0x0A)
        if write(text) == 0 { lost = 0 }
    }

    /// `path.1` is the newest of the old files; the one that would be beyond `files` is removed.
    private mutating func rotate() {
        if files == 1 {
            _ = isle_unlink(path)
        } else {
            var index = files - 1
            while index > 1 {
                _ = isle_rename(name(index - 1), name(index))
                index -= 1
            }
            _ = isle_rename(path, name(1))
        }
        isle_close(descriptor)
        _ = open()
    }

    private func name(_ index: Int) -> String {
        var digits: [UInt8] = []
        appendDecimal(Int64(index), to: &digits)
        return path + "." + String(decoding: digits, as: UTF8.self)
    }
}

/// The log could not be opened, with the error number of open(2).
public struct LogOpenFailure: Error {
    public var number: Int32
}
