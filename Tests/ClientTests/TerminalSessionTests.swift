import CHost
import Glibc
import Synchronization
import Testing
import WireTypes

@testable import Client

/// Sessions with a terminal, at a pseudo-terminal. One at a time: the terminal under guard is one for the process.
@Suite(.serialized) struct TerminalSessionTests {
    /// Runs a session at a new pseudo-terminal. `typist` sits at it and gets the master; `shown` is what came to the
    /// screen, `before` and `after` the terminal's settings around the session.
    private func run(
        _ main: @escaping @Sendable (Peer) throws -> Void,
        control: @escaping @Sendable (Peer) throws -> Void = { _ in },
        typist: @escaping @Sendable (Int32) -> Void, _ change: (inout Session.Options) -> Void = { _ in }
    ) throws -> (end: Session.End, shown: String, restored: Bool) {
        var slave: Int32 = -1
        let master = guest_terminal(&slave, 80, 24)
        guard master >= 0 else { throw FakeDaemon.Failed("no pseudo-terminal: errno \(-master)") }
        let terminal = slave
        defer {
            close(slave)
            close(master)
        }
        var operation = API.Operation()
        operation.id = "s"
        operation.statusCode = 103
        operation.metadata = ["fds": ["0": "0", "control": "control"]]
        var options = Session.Options()
        options.terminal = true
        options.input = true
        options.detachKeys = .docker
        options.descriptors = (terminal, terminal, terminal)
        change(&options)
        defer { if options.descriptors.input != terminal { close(options.descriptors.input) } }
        let session = options
        let done = Mutex(false)
        let before = lflags(slave)
        Threads.run { typist(master) }
        let end = try withDaemon({ peer in
            let request = try peer.request()
            if request.path.hasSuffix("/wait") {
                while !done.withLock({ $0 }) { usleep(1000) }
                return try peer.sync(Peer.operation("s", 200, #"{"return":7}"#))
            }
            try peer.acceptWebSocket(request)
            if request.target.hasSuffix("control") { return try control(peer) }
            defer { done.withLock { $0 = true } }
            try main(peer)
            try peer.sendFrame(.close)
        }) { try Session($0, operation, session).run() }
        var shown = [UInt8](repeating: 0, count: 4096)
        var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        let got = poll(&entry, 1, 0) > 0 ? read(master, &shown, shown.count) : 0
        return (end, String(decoding: shown[..<max(0, got)], as: UTF8.self), lflags(slave) == before)
    }

    private func lflags(_ descriptor: Int32) -> tcflag_t {
        var settings = termios()
        tcgetattr(descriptor, &settings)
        return settings.c_lflag
    }

    @Test func keysComeThroughRawAndTheTerminalIsRestored() throws {
        let typed = Mutex<[UInt8]>([])
        let result = try run(
            { peer in
                while typed.withLock({ $0.count }) < 4 {
                    let frame = try peer.readFrame()
                    typed.withLock { $0 += frame.payload }
                }
                try peer.sendFrame(.binary, Array("seen\r\n".utf8))
            },
            typist: { master in
                usleep(100_000)
                // Ctrl-C, Ctrl-Z, Ctrl-D and a letter: none of them means anything here.
                _ = [UInt8]([3, 26, 4, 97]).withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
            })
        #expect(result.end == .exited(code: 7))
        #expect(typed.withLock { $0 } == [3, 26, 4, 97])
        #expect(result.shown == "seen\r\n")
        #expect(result.restored)
    }

    @Test func detachKeysLeaveItRunning() throws {
        let result = try run(
            { peer in while try peer.readFrame().opcode != .close {} },
            typist: { master in
                usleep(100_000)
                _ = [UInt8]([0x10, 0x11]).withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
            })
        #expect(result.end == .detached && result.restored)
    }

    @Test func theEndOfInputIsTypedOrLeaves() throws {
        for leaves in [false, true] {
            let typed = Mutex<[UInt8]>([])
            let result = try run(
                { peer in
                    while true {
                        let frame = try peer.readFrame()
                        if frame.opcode == .close { break }
                        typed.withLock { $0 += frame.payload }
                        if typed.withLock({ $0 == [4] }) { break }
                    }
                }, typist: { _ in }
            ) {
                let none = open("/dev/null", O_RDONLY)
                $0.descriptors.input = none
                $0.leavesAtEndOfInput = leaves
            }
            #expect(result.end == (leaves ? .detached : .exited(code: 7)))
            #expect(typed.withLock { $0 } == (leaves ? [] : [4]))
        }
    }

    @Test func aNewSizeIsToldAndASignalEndsUs() throws {
        let sizes = Mutex<[String: String]>([:])
        let us = pthread_self()
        let result = try run(
            { peer in while try peer.readFrame().opcode != .close {} },
            control: { peer in
                usleep(100_000)
                pthread_kill(us, SIGWINCH)
                let message = try JSON.decode(API.SessionControl.self, from: peer.readFrame().payload)
                sizes.withLock { $0 = message.args }
                pthread_kill(us, SIGTERM)
            }, typist: { _ in })
        #expect(sizes.withLock { $0 } == ["width": "80", "height": "24"])
        #expect(result.end == .interrupted(signal: SIGTERM) && result.restored)
    }
}
