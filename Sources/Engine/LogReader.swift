import Dispatch
import Glibc
import Model

/// Which lines of a log are wanted.
public struct LogQuery: Sendable {
    /// Go on with what comes until the instance ends.
    public var follow: Bool
    /// The last lines only; nil: all.
    public var tail: Int?
    /// Seconds since 1970: lines from then on, until then.
    public var since: Double?
    public var until: Double?
    public init(follow: Bool = false, tail: Int? = nil, since: Double? = nil, until: Double? = nil) {
        self.follow = follow
        self.tail = tail
        self.since = since
        self.until = until
    }
}

/// One entry of a log in the CRI format (kubernetes/cri-api, `ContainerLogPath`): a line, or a part of a long one.
public struct LogLine: Sendable, Hashable {
    public enum Stream: String, Sendable { case stdout, stderr }
    /// RFC 3339 with nanoseconds, as it stands in the file.
    public var timestamp: String
    public var stream: Stream
    /// False for a part whose line goes on in the next entry.
    public var isComplete: Bool
    public var bytes: [UInt8]

    /// `TIMESTAMP STREAM P|F BYTES`; nil for anything else.
    public init?(_ line: some Collection<UInt8>) {
        let parts = line.split(separator: 32, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, let stream = Stream(rawValue: String(decoding: parts[1], as: UTF8.self)),
            parts[2].first == UInt8(ascii: "F") || parts[2].first == UInt8(ascii: "P")
        else { return nil }
        timestamp = String(decoding: parts[0], as: UTF8.self)
        self.stream = stream
        isComplete = parts[2].first == UInt8(ascii: "F")
        bytes = Array(parts[3])
    }
}

/// Reads an instance's log with its rotated files, and follows it.
struct LogReader: Sendable {
    let path: String
    private static let queue = DispatchQueue(label: "isle.logs", attributes: .concurrent)

    /// - Parameter isRunning: asked when following and there is nothing new; false ends the stream after a last look.
    func lines(_ query: LogQuery, isRunning: @escaping @Sendable () async -> Bool) -> AsyncThrowingStream<
        LogLine, any Error
    > {
        let (stream, continuation) = AsyncThrowingStream.makeStream(of: LogLine.self)
        let task = Task {
            do {
                var reader = TailReader(path: path)
                var kept: [LogLine] = []
                for file in rotated() {
                    try await reader.read(file: file) { line in
                        guard Self.matches(line, query) else { return }
                        kept.append(line)
                        // Seldom, so that it costs little for each line.
                        if let tail = query.tail, kept.count > 1000 + 2 * max(0, tail) {
                            kept = Array(Self.last(tail, of: kept))
                        }
                    }
                }
                for line in query.tail.map({ Self.last($0, of: kept) }) ?? kept[...] { continuation.yield(line) }
                while query.follow, !Task.isCancelled {
                    let alive = await isRunning()
                    let count = try await reader.readNew { line in
                        if Self.matches(line, query) { continuation.yield(line) }
                    }
                    if !alive && count == 0 { break }
                    if count == 0 { try await Task.sleep(for: .milliseconds(50)) }
                }
                continuation.finish()
            } catch is CancellationError {
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    /// Existing files, oldest first.
    private func rotated() -> [String] {
        var files: [String] = []
        var number = 1
        while access("\(path).\(number)", F_OK) == 0 {
            files.insert("\(path).\(number)", at: 0)
            number += 1
        }
        if access(path, F_OK) == 0 { files.append(path) }
        return files
    }

    /// The entries of the last `count` lines; the parts of a long line are one.
    private static func last(_ count: Int, of entries: [LogLine]) -> ArraySlice<LogLine> {
        var lines = 0
        var later: Set<LogLine.Stream> = []
        for index in entries.indices.reversed() {
            let entry = entries[index]
            // An entry ends its line if it says so, or if nothing of its stream comes after it.
            if later.insert(entry.stream).inserted || entry.isComplete { lines += 1 }
            if lines > max(0, count) { return entries[(index + 1)...] }
        }
        return entries[...]
    }

    private static func matches(_ line: LogLine, _ query: LogQuery) -> Bool {
        if query.since == nil, query.until == nil { return true }
        guard let time = Timestamp.seconds(line.timestamp) else { return true }
        if let since = query.since, time < since { return false }
        if let until = query.until, time > until { return false }
        return true
    }
}

/// Position in the current log file; notices when it was rotated away.
private struct TailReader {
    let path: String
    private var offset: off_t = 0
    private var inode: ino_t = 0
    private var rest: [UInt8] = []

    init(path: String) { self.path = path }

    /// Reads a whole file; the position stays at its end.
    mutating func read(file: String, _ body: (LogLine) -> Void) async throws {
        offset = 0
        rest = []
        _ = try await pump(file, body)
    }

    /// Reads what was added since, in the file that was current and then in the one that replaced it.
    mutating func readNew(_ body: (LogLine) -> Void) async throws -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        guard inode != 0, status.st_ino != inode else { return try await pump(path, body) }
        // The file in hand is the newest rotated one now: finish it first.
        var old = stat()
        var count = 0
        if stat(path + ".1", &old) == 0, old.st_ino == inode { count += try await pump(path + ".1", body) }
        offset = 0
        rest = []
        return try await pump(path, body) + count
    }

    private mutating func pump(_ file: String, _ body: (LogLine) -> Void) async throws -> Int {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return 0 }
            throw EngineError(.internal, "the log \(file) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var status = stat()
        if fstat(descriptor, &status) == 0 { inode = status.st_ino }
        var count = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let got = pread(descriptor, &buffer, buffer.count, offset)
            guard got > 0 else { return count }
            offset += off_t(got)
            rest += buffer[..<got]
            var start = rest.startIndex
            while let end = rest[start...].firstIndex(of: 10) {
                if let line = LogLine(rest[start..<end]) {
                    body(line)
                    count += 1
                }
                start = end + 1
            }
            rest.removeSubrange(..<start)
            try Task.checkCancellation()
        }
    }
}
