import FoundationEssentials
import Glibc
import Model
import Synchronization
import Testing

@testable import Engine

/// A log in a folder of its own, removed with the suite's instance.
private final class LogFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/isle-log-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw EngineError(.internal, "mkdtemp: errno \(errno)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var log: String { path + "/console.log" }

    func append(_ text: String, to name: String = "console.log") throws {
        guard let file = fopen("\(path)/\(name)", "a") else { throw EngineError(.internal, "fopen: errno \(errno)") }
        fputs(text, file)
        fclose(file)
    }

    func rotate() throws {
        var number = 1
        while access("\(log).\(number)", F_OK) == 0 { number += 1 }
        while number > 0 {
            guard rename(number == 1 ? log : "\(log).\(number - 1)", "\(log).\(number)") == 0 else {
                throw EngineError(.internal, "rename: errno \(errno)")
            }
            number -= 1
        }
    }
}

/// Whether the instance whose log is followed runs.
private final class Flag: Sendable {
    private let value = Atomic(true)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func clear() { value.store(false, ordering: .releasing) }
}

@Suite struct LogTests {
    private let folder: LogFolder

    init() throws { folder = try LogFolder() }

    private static func line(_ text: String, second: Int = 0, stream: String = "stdout", _ tag: String = "F") -> String
    {
        "2026-01-02T03:04:\(second < 10 ? "0" : "")\(second).000000000Z \(stream) \(tag) \(text)\n"
    }

    private func read(_ query: LogQuery = LogQuery()) async throws -> [String] {
        var texts: [String] = []
        for try await line in LogReader(path: folder.log).lines(query, isRunning: { false }) {
            texts.append(String(decoding: line.bytes, as: UTF8.self))
        }
        return texts
    }

    @Test func entriesAreParsed() throws {
        let line = try #require(LogLine("2026-01-02T03:04:05.1Z stderr P two  words ".utf8))
        #expect(line.stream == .stderr && !line.isComplete)
        #expect(String(decoding: line.bytes, as: UTF8.self) == "two  words ")
        #expect(LogLine("2026-01-02T03:04:05.1Z stdout F ".utf8)?.bytes == [])
        for text in ["", "x", "T stdout F", "T stdin F x", "T stdout X x", "T  stdout F x"] {
            #expect(LogLine(text.utf8) == nil, "\(text)")
        }
    }

    @Test func rotatedFilesComeFirst() async throws {
        #expect(try await read().isEmpty)
        for number in 1...3 {
            try folder.append(Self.line("\(number)"))
            if number < 3 { try folder.rotate() }
        }
        #expect(try await read() == ["1", "2", "3"])
        #expect(try await read(LogQuery(tail: 2)) == ["2", "3"])
        #expect(try await read(LogQuery(tail: 0)) == [])
        #expect(try await read(LogQuery(tail: -1)) == [])
        #expect(try await read(LogQuery(tail: 10)) == ["1", "2", "3"])
    }

    @Test func whatIsNoEntryIsLeftOut() async throws {
        try folder.append("garbage\n\u{1}\n\n" + Self.line("a") + "cut off")
        #expect(try await read() == ["a"])
    }

    @Test func thePartsOfALongLineAreOneLine() async throws {
        try folder.append(Self.line("before"))
        try folder.append(Self.line("long", stream: "stdout", "P"))
        try folder.append(Self.line("er", stream: "stdout", "P") + Self.line(" line"))
        #expect(try await read(LogQuery(tail: 1)) == ["long", "er", " line"])
        #expect(try await read(LogQuery(tail: 2)) == ["before", "long", "er", " line"])
        try folder.append(Self.line("unfinished", stream: "stderr", "P"))
        #expect(try await read(LogQuery(tail: 1)) == ["unfinished"])
    }

    @Test func theTailOfManyLines() async throws {
        try folder.append((0..<20_000).map { Self.line("\($0)") }.joined())
        #expect(try await read(LogQuery(tail: 3)) == ["19997", "19998", "19999"])
        #expect(try await read().count == 20_000)
    }

    @Test func sinceAndUntil() async throws {
        try folder.append((0..<5).map { Self.line("\($0)", second: $0) }.joined())
        let start = try #require(Timestamp.seconds("2026-01-02T03:04:00Z"))
        #expect(try await read(LogQuery(since: start + 2)) == ["2", "3", "4"])
        #expect(try await read(LogQuery(until: start + 1)) == ["0", "1"])
        #expect(try await read(LogQuery(tail: 1, since: start + 1, until: start + 3)) == ["3"])
    }

    @Test func followingGoesOnOverRotationToTheEnd() async throws {
        try folder.append(Self.line("old"))
        let running = Flag()
        let stream = LogReader(path: folder.log).lines(LogQuery(follow: true)) { running.isSet }
        var seen: [String] = []
        for try await line in stream {
            seen.append(String(decoding: line.bytes, as: UTF8.self))
            switch seen.count {
            case 1:
                try folder.append(String(Self.line("half").dropLast(3)))
                try await Task.sleep(for: .milliseconds(80))
                try folder.append("lf\n")
            case 2:
                try folder.append(Self.line("last of the old file"))
                try folder.rotate()
                try folder.append(Self.line("first of the new file"))
            case 4:
                running.clear()
                try folder.append(Self.line("end"))
            default: break
            }
        }
        #expect(seen == ["old", "half", "last of the old file", "first of the new file", "end"])
    }

    @Test func followingNothingWaitsForTheFirstLine() async throws {
        let stream = LogReader(path: folder.log).lines(LogQuery(follow: true)) { true }
        Task {
            try await Task.sleep(for: .milliseconds(60))
            try folder.append(Self.line("first"))
        }
        for try await line in stream {
            #expect(line.bytes == Array("first".utf8))
            break
        }
    }

    @Test func aLogThatCannotBeReadIsAnError() async throws {
        guard mkdir(folder.log, 0o700) == 0 else { return }
        #expect(try await read().isEmpty)
    }
}

@Suite struct TimestampTests {
    @Test func secondsOfRFC3339() {
        #expect(Timestamp.seconds("1970-01-01T00:00:00Z") == 0)
        #expect(Timestamp.seconds("2026-01-02T03:04:05Z") == 1_767_323_045)
        #expect(Timestamp.seconds("2026-01-02T03:04:05.5Z") == 1_767_323_045.5)
        #expect(Timestamp.seconds("2026-01-02T05:04:05+02:00") == 1_767_323_045)
        #expect(Timestamp.seconds("2026-01-01t21:34:05-05:30") == 1_767_323_045)
        #expect(Timestamp.seconds("1969-12-31T23:59:59Z") == -1)
    }

    @Test(arguments: [
        "", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "2026-01-32T03:04:05Z",
        "2026-01-02T24:04:05Z", "2026-01-02T03:60:05Z", "2026x01x02T03:04:05Z", "2026-01-02T03:04:05Zjunk",
        "2026-01-02T03:04:05*02:00", "2026-01-02T03:04:05+02", "2026-01-02T03:04:05+99:00", "+026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.", "2026-01-02T03:04:05+-1:00", "äöüäöüäöüä",
    ])
    func whatIsNone(text: String) { #expect(Timestamp.seconds(text) == nil) }

    @Test func textAndBack() {
        #expect(Timestamp.text(0) == "1970-01-01T00:00:00.000000000Z")
        #expect(Timestamp.text(-0.5) == "1969-12-31T23:59:59.500000000Z")
        #expect(Timestamp.text(1_767_323_045.25) == "2026-01-02T03:04:05.250000000Z")
        for seconds in [0.125, 1e9, 1_767_323_045.5] {
            #expect(Timestamp.seconds(Timestamp.text(seconds)) == seconds)
        }
    }
}
