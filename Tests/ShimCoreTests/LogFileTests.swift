import Glibc
import ShimCore
import Testing

@Suite struct LogFileTests {
    private let folder = "/tmp/isle-log-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"

    private func inFolder(_ body: (String) throws -> Void) throws {
        mkdir(folder, 0o755)
        defer {
            for name in ["", ".1", ".2", ".3", ".old"] { unlink(folder + "/log" + name) }
            rmdir(folder)
        }
        try body(folder + "/log")
    }

    private func content(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var text: [UInt8] = []
        var byte = fgetc(file)
        while byte >= 0 {
            text.append(UInt8(byte))
            byte = fgetc(file)
        }
        return String(decoding: text, as: UTF8.self)
    }

    @Test func entriesHaveTheCRIForm() throws {
        try inFolder { path in
            var log = try LogFile(path: path, maxSize: 0, files: 1)
            log.setTime(seconds: 1_790_000_000, nanoseconds: 42)
            log.append(.output, whole: true, Array("hello".utf8))
            log.append(.error, whole: false, Array("part".utf8))
            log.flush()
            #expect(
                content(path) == "2026-09-21T14:13:20.000000042Z stdout F hello\n"
                    + "2026-09-21T14:13:20.000000042Z stderr P part\n")
        }
    }

    @Test func aTornEntryIsEndedWhenTheFileIsOpenedAgain() throws {
        try inFolder { path in
            do {
                let file = fopen(path, "w")
                fputs("2026-01-01T00:00:00.000000000Z stdout F tor", file)
                fclose(file)
            }
            var log = try LogFile(path: path, maxSize: 0, files: 1)
            log.setTime(seconds: 0, nanoseconds: 0)
            log.append(.output, whole: true, Array("new".utf8))
            log.flush()
            #expect(content(path).hasSuffix("F tor\n1970-01-01T00:00:00.000000000Z stdout F new\n"))
        }
    }

    @Test func rotationKeepsSoManyFiles() throws {
        try inFolder { path in
            var log = try LogFile(path: path, maxSize: 100, files: 3)
            log.setTime(seconds: 0, nanoseconds: 0)
            // An entry is 43 bytes: two fit.
            for number in 1...9 { log.append(.output, whole: true, Array("\(number)".utf8)) }
            log.flush()
            let lines = [path + ".2", path + ".1", path].map { content($0).split(separator: "\n").map { $0.suffix(1) } }
            #expect(lines == [["5", "6"], ["7", "8"], ["9"]])
            #expect(access(path + ".3", F_OK) != 0)
        }
    }

    @Test func oneFileIsReplaced() throws {
        try inFolder { path in
            var log = try LogFile(path: path, maxSize: 100, files: 1)
            log.setTime(seconds: 0, nanoseconds: 0)
            for number in 1...5 { log.append(.output, whole: true, Array("\(number)".utf8)) }
            log.flush()
            #expect(content(path).hasSuffix("F 5\n"))
            #expect(content(path).split(separator: "\n").count == 1)
            #expect(access(path + ".1", F_OK) != 0)
        }
    }

    @Test func anEntryLargerThanTheLimitIsStillWritten() throws {
        try inFolder { path in
            var log = try LogFile(path: path, maxSize: 10, files: 2)
            log.setTime(seconds: 0, nanoseconds: 0)
            log.append(.output, whole: true, [UInt8](repeating: 65, count: 1000))
            log.flush()
            #expect(content(path).utf8.count > 1000)
        }
    }

    @Test func anotherRenamedItAndItIsReopened() throws {
        try inFolder { path in
            var log = try LogFile(path: path, maxSize: 0, files: 1)
            log.setTime(seconds: 0, nanoseconds: 0)
            log.append(.output, whole: true, Array("1".utf8))
            log.flush()
            rename(path, path + ".old")
            log.reopen()
            log.append(.output, whole: true, Array("2".utf8))
            log.flush()
            #expect(content(path).hasSuffix("F 2\n"))
            #expect(content(path + ".old").hasSuffix("F 1\n"))
        }
    }

    @Test func aFullDiskLosesWholeEntriesAndSaysSo() throws {
        try inFolder { path in
            // The file-size limit stands in for a full disk: writes fail with EFBIG after a part of the bytes.
            var old = rlimit()
            getrlimit(__rlimit_resource_t(1), &old)
            signal(SIGXFSZ, SIG_IGN)
            var log = try LogFile(path: path, maxSize: 0, files: 1)
            log.setTime(seconds: 0, nanoseconds: 0)
            log.append(.output, whole: true, Array("first".utf8))
            log.flush()
            var small = rlimit(rlim_cur: 60, rlim_max: old.rlim_max)
            setrlimit(__rlimit_resource_t(1), &small)
            log.append(.output, whole: true, Array("lost".utf8))
            log.append(.output, whole: true, Array("lost".utf8))
            log.flush()
            setrlimit(__rlimit_resource_t(1), &old)
            log.append(.output, whole: true, Array("later".utf8))
            log.flush()
            let lines = content(path).split(separator: "\n")
            #expect(lines.count == 3)
            #expect(lines[0].hasSuffix("F first"))
            #expect(lines[1].hasSuffix("stderr F isle: 2 log entries were lost: error 27"))
            #expect(lines[2].hasSuffix("F later"))
        }
    }

    @Test func aFolderThatIsNotThereIsAnError() {
        #expect(throws: LogOpenFailure.self) { _ = try LogFile(path: "/nonexistent/log", maxSize: 0, files: 1) }
    }
}

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000007Z"), (951_782_400, "2000-02-29T00:00:00.000000007Z"),
            (951_868_799, "2000-02-29T23:59:59.000000007Z"), (4_107_542_400, "2100-03-01T00:00:00.000000007Z"),
            (1_704_067_199, "2023-12-31T23:59:59.000000007Z"), (-1, "1969-12-31T23:59:59.000000007Z"),
        ] as [(Int64, String)])
    func text(_ seconds: Int64, _ expected: String) {
        #expect(String(decoding: Timestamp.text(seconds: seconds, nanoseconds: 7), as: UTF8.self) == expected)
    }
}

@Suite struct LineSplitterTests {
    private struct Entry: Equatable {
        var text: String
        var whole: Bool
    }

    private func split(_ chunks: [String], flush: Bool = true) -> [Entry] {
        var splitter = LineSplitter()
        var entries: [Entry] = []
        for chunk in chunks {
            Array(chunk.utf8).withUnsafeBytes { bytes in
                splitter.feed(bytes) { entries.append(Entry(text: String(decoding: $0, as: UTF8.self), whole: $1)) }
            }
        }
        if flush { splitter.flush { entries.append(Entry(text: String(decoding: $0, as: UTF8.self), whole: $1)) } }
        return entries
    }

    @Test func linesAcrossChunks() {
        #expect(
            split(["a", "b\nc", "\n", "\n", "d"]) == [
                Entry(text: "ab", whole: true), Entry(text: "c", whole: true), Entry(text: "", whole: true),
                Entry(text: "d", whole: false),
            ])
    }

    @Test func aLongLineComesInParts() {
        let long = String(repeating: "x", count: LineSplitter.maxLine * 2 + 5)
        let entries = split([long + "\nend\n"])
        #expect(entries.map(\.whole) == [false, false, true, true])
        #expect(entries.prefix(3).map(\.text).joined() == long)
    }

    @Test func aLineOfExactlyTheLimitIsOneEntry() {
        let line = String(repeating: "x", count: LineSplitter.maxLine)
        #expect(split([line + "\n"]) == [Entry(text: line, whole: true)])
        #expect(split([line, "\n"]) == [Entry(text: line, whole: true)])
        #expect(split([line, "y\n"]) == [Entry(text: line, whole: false), Entry(text: "y", whole: true)])
    }

    @Test func anyCutGivesTheSameEntries() {
        let text = (0..<200).map { String(repeating: "\($0 % 10)", count: $0 * 7 % 91) }.joined(separator: "\n")
        let whole = split([text])
        for size in [1, 2, 3, 7, 64, 1000] {
            let bytes = Array(text)
            let chunks = stride(from: 0, to: bytes.count, by: size).map {
                String(bytes[$0..<min($0 + size, bytes.count)])
            }
            #expect(split(chunks) == whole)
        }
    }
}

@Suite struct ShimExitTests {
    @Test func lineRoundTrip() {
        let exit = ShimExit(status: 9, outOfMemory: true, seconds: 1_790_000_000, nanoseconds: 5)
        #expect(String(decoding: exit.line(), as: UTF8.self) == "9 1 1790000000 5\n")
        #expect(ShimExit(line: exit.line()) == exit)
    }

    @Test(arguments: [
        "", "\n", "9 1 17 5", "9 1 17\n", "9 2 17 5\n", "x 1 17 5\n", "9 1 17 5 6\n", "9 1 99999999999999999999 5\n",
        "9  1 17 5\n",
    ])
    func damagedLinesAreRefused(_ line: String) {
        #expect(ShimExit(line: Array(line.utf8)) == nil)
    }
}
