import Foundation
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

@Suite struct UserLookupTests {
    private let lookup = UserLookup(
        passwd: Array(
            """
            root:x:0:0:root:/root:/bin/sh
            # a comment
            broken:x:77
            huge:x:4294967295:0::/h:/bin/sh
            over:x:99999999999:0::/h:/bin/sh
            web:x:33:44:web:/srv:/bin/sh
            1000:x:2000:2000::/num:/bin/sh
            bare:x:50:50:::
            """.utf8),
        group: Array(
            "root:x:0:\nwww:x:44:\nextra:x:55:root,web\nmore:x:56:other, web,web\nbad:x:-1:web\ndup:x:55:web\n".utf8))

    @Test func defaultsToRoot() throws {
        let root = ResolvedUser(uid: 0, gid: 0, additionalGroups: [0, 55], home: "/root")
        #expect(try lookup.resolve(nil) == root)
        #expect(try lookup.resolve("") == root)
        #expect(try lookup.resolve("0") == root)
        #expect(
            try UserLookup(passwd: [], group: []).resolve(nil)
                == ResolvedUser(uid: 0, gid: 0, additionalGroups: [0], home: "/"))
    }

    @Test func findsNamesAndNumbers() throws {
        let web = ResolvedUser(uid: 33, gid: 44, additionalGroups: [44, 55, 56], home: "/srv")
        #expect(try lookup.resolve("web") == web)
        #expect(try lookup.resolve("33") == web)
        #expect(try lookup.resolve("web:root") == ResolvedUser(uid: 33, gid: 0, additionalGroups: [0], home: "/srv"))
        #expect(try lookup.resolve("web:7") == ResolvedUser(uid: 33, gid: 7, additionalGroups: [7], home: "/srv"))
        #expect(try lookup.resolve("1234") == ResolvedUser(uid: 1234, gid: 0, additionalGroups: [0], home: "/"))
        #expect(try lookup.resolve(":www") == ResolvedUser(uid: 0, gid: 44, additionalGroups: [44], home: "/root"))
        #expect(try lookup.resolve("bare").home == "/")
        // Digits are a number, whatever name somebody put into the file.
        #expect(try lookup.resolve("1000").uid == 1000)
    }

    @Test(arguments: [
        "nobody", "huge", "over", "broken", "web:nogroup", "4294967295", "99999999999", "web:4294967295", "-1",
        "../root",
    ])
    func refuses(_ user: String) {
        #expect(throws: EngineError.self) { try lookup.resolve(user) }
    }

    /// The files come from an image: links that lead out, pipes and folders must neither be followed nor waited for.
    @Test func hostileRootsAreSafe() throws {
        let directory = "/tmp/isle-user-test-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: directory + "/root/etc", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try Data("evil:x:666:666::/:\n".utf8).write(to: URL(fileURLWithPath: directory + "/outside"))
        #expect(symlink("../../outside", directory + "/root/etc/passwd") == 0)
        #expect(mkfifo(directory + "/root/etc/group", 0o644) == 0)
        let root = try RootDirectory(path: directory + "/root")
        #expect(throws: EngineError.self) { try UserLookup(root: root).resolve("evil") }
        unlink(directory + "/root/etc/passwd")
        #expect(symlink("/usr/passwd", directory + "/root/etc/passwd") == 0)
        try FileManager.default.createDirectory(atPath: directory + "/root/usr", withIntermediateDirectories: true)
        try Data("inside:x:5:5::/:\n".utf8).write(to: URL(fileURLWithPath: directory + "/root/usr/passwd"))
        #expect(try UserLookup(root: root).resolve("inside").uid == 5)
        let long = [UInt8](repeating: 10, count: 9 << 20)
        try Data(long).write(to: URL(fileURLWithPath: directory + "/root/usr/passwd"))
        let error = #expect(throws: EngineError.self) { try UserLookup(root: root) }
        #expect(error?.code == .resourceExhausted)
    }
}

@Suite struct SmallPartsTests {
    @Test func signalNames() throws {
        for (text, number) in [
            ("SIGTERM", Int32(15)), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("SIGPWR", 30),
        ] {
            #expect(try SignalName.number(text) == number)
        }
        for text in ["", "0", "65", "-1", "SIGNOPE", "RTMIN+31", "RTMIN-1", "15x"] {
            #expect(throws: EngineError.self) { try SignalName.number(text) }
        }
        #expect(InitSystem.of(executable: "/usr/lib/systemd/systemd", calledAs: "/sbin/init").stopSignal == 37)
        #expect(InitSystem.of(executable: "/bin/busybox", calledAs: "/sbin/init").stopSignal == SIGUSR2)
        #expect(InitSystem.of(executable: "/bin/busybox", calledAs: "init").stopSignal == SIGUSR2)
        #expect(InitSystem.of(executable: "/bin/busybox", calledAs: "/bin/sh").stopSignal == SIGPWR)
        #expect(InitSystem.of(executable: "/sbin/init", calledAs: "/sbin/init").stopSignal == SIGPWR)
    }

    @Test func runtimesAreNamesOnly() throws {
        for name in ["/bin/sh", "../crun", "a b", "-x", String(repeating: "r", count: 80), "crun\n"] {
            let error = #expect(throws: EngineError.self) { try Runtime.find(name) }
            #expect(error?.code == .invalidArgument)
        }
        let error = #expect(throws: EngineError.self) { try Runtime.find("no-such-runtime") }
        #expect(error?.code == .notFound)
    }

    @Test func runtimesWordsAreUnderstood() {
        func code(_ text: String) -> EngineError.Code {
            RuntimeFailure.translate(
                EngineError(.internal, text), log: "/nonexistent", program: "p", workingDirectory: "/w", instance: "i"
            ).code
        }
        #expect(code("executable file `/bin/nope` not found in $PATH: No such file or directory") == .notFound)
        #expect(code("open executable: Operation not permitted") == .invalidArgument)
        #expect(code("open executable: Permission denied") == .invalidArgument)
        #expect(code("chdir `/nope`: No such file or directory") == .notFound)
        #expect(code("chdir to cwd (\"/nope\") set in config.json failed: no such file or directory") == .notFound)
        #expect(
            code(
                "runc run failed: unable to start container process: exec: \"nope\": executable file not found in $PATH"
            ) == .notFound)
        #expect(
            code("unable to start container process: exec: \"/bin/nope\": stat /bin/nope: no such file or directory")
                == .notFound)
        #expect(
            code("unable to start container process: exec: \"/etc\": is a directory: permission denied")
                == .invalidArgument)
        #expect(code("unable to start container process: exec /etc/garbage: exec format error") == .invalidArgument)
        #expect(code("mount `proc` to `/proc`: Operation not permitted") == .internal)
        let other = RuntimeFailure.translate(
            EngineError(.conflict, "kept"), log: "/nonexistent", program: "p", workingDirectory: "/", instance: "i")
        #expect(other.code == .conflict)
    }

    @Test func endsOfSystemContainers() {
        func record(_ signal: Int32?, _ kind: InstanceKind = .system, kills: Int64 = 0) -> ExitRecord {
            ContainerEnd.record(
                ExitRecord(code: signal.map { 128 + $0 } ?? 0, signal: signal, finishedAt: 1), kind: kind,
                outOfMemoryKills: kills)
        }
        #expect(record(SIGHUP).wantsReboot)
        #expect(record(SIGINT).reason == "poweroff")
        #expect(record(SIGINT).code == 0)
        #expect(!record(SIGHUP, .application).wantsReboot)
        #expect(record(SIGHUP, .application).code == 129)
        #expect(record(SIGKILL, .application, kills: 1).outOfMemory)
        #expect(!record(SIGTERM, .application, kills: 1).outOfMemory)
    }
}
