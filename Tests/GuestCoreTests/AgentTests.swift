import Glibc
import Testing

@testable import GuestCore

/// The agent itself, on this host instead of in a machine: it starts real processes.
@Suite(.timeLimit(.minutes(1)))
struct AgentTests {
    @Test func greetsWithTheSameBytes() {
        let agent = AgentHarness()
        defer { agent.end() }
        let nonce: [UInt8] = Array(1...16)
        agent.send(Frame(.hello, payload: nonce))
        #expect(agent.receive() == Frame(.helloAnswer, payload: nonce))
    }

    @Test func runsAProcessWithItsStreams() {
        let agent = AgentHarness()
        defer { agent.end() }
        let request = ExecRequest(
            arguments: ["sh", "-c", "echo $X; pwd; cat; echo bad >&2; exit 7"], environment: ["X=ü"], directory: "/tmp",
            openInput: true)
        let outcome = agent.run(request, input: Array("from the host\n".utf8))
        #expect(outcome.output == "ü\n/tmp\nfrom the host\n")
        #expect(outcome.error == "bad\n")
        #expect(outcome.exit == [7, 0])
    }

    @Test func inputIsNothingUnlessAskedFor() {
        let agent = AgentHarness()
        defer { agent.end() }
        let outcome = agent.run(ExecRequest(arguments: ["cat"]))
        #expect(outcome.output.isEmpty && outcome.exit == [0, 0])
    }

    @Test func givesATerminal() {
        let agent = AgentHarness()
        defer { agent.end() }
        agent.send(
            Frame(
                .exec, session: 5,
                payload: ExecRequest(
                    arguments: ["sh", "-c", "tty; stty size; read x; stty size; echo got $x >/dev/tty"], terminal: true,
                    openInput: true, columns: 91, rows: 17
                ).encoded))
        var output = ""
        var exit: [UInt32]?
        var hasResized = false
        while exit == nil, let frame = agent.receive() {
            if frame.kind == .output { output += String(decoding: frame.payload, as: UTF8.self) }
            if frame.kind == .exited { exit = frame.numbers(2) }
            if output.contains("17 91"), !hasResized {
                hasResized = true
                agent.send(
                    Frame(.resize, session: 5, numbers: [40, 12]),
                    Frame(.input, session: 5, payload: Array("hello\n".utf8)))
            }
        }
        while !output.contains("got"), let frame = agent.receive() {
            if frame.kind == .output { output += String(decoding: frame.payload, as: UTF8.self) }
        }
        #expect(output.contains("/dev/pts/"))
        #expect(output.contains("12 40"))
        #expect(output.contains("got hello"))
        #expect(exit == [0, 0])
    }

    @Test(arguments: [
        (ExecRequest(arguments: ["isle-no-such-program"]), ExecFailure.notFound),
        (ExecRequest(arguments: ["/etc/passwd"]), .cannotExecute), (ExecRequest(arguments: ["/tmp"]), .cannotExecute),
        (ExecRequest(arguments: ["true"], directory: "/no/such/folder"), .notFound),
        (ExecRequest(arguments: ["true"], user: "isle-no-such-user"), .notFound),
    ])
    func saysWhyAProcessCannotStart(_ request: ExecRequest, _ failure: ExecFailure) {
        let agent = AgentHarness()
        defer { agent.end() }
        let outcome = agent.run(request)
        #expect(outcome.frames.last?.kind == .failed)
        #expect(outcome.frames.last?.payload.first == failure.rawValue)
        #expect(outcome.frames.last?.payload.count ?? 0 > 10)
    }

    @Test(.enabled(if: getuid() == 0, "changing the user needs root"))
    func becomesTheUser() {
        let agent = AgentHarness()
        defer { agent.end() }
        let outcome = agent.run(ExecRequest(arguments: ["id", "-u"], user: "nobody"))
        #expect(outcome.output == "65534\n")
        #expect(agent.run(ExecRequest(arguments: ["id"], user: "12:34"), session: 2).output.hasPrefix("uid=12"))
    }

    @Test func carriesSignals() {
        let agent = AgentHarness()
        defer { agent.end() }
        agent.send(
            Frame(.exec, session: 9, payload: ExecRequest(arguments: ["sleep", "100"]).encoded),
            Frame(.signal, session: 9, numbers: [15]))
        #expect(agent.collect(9).exit == [143, 15])
    }

    @Test func outputWaitsForCredit() {
        let agent = AgentHarness()
        defer { agent.end() }
        let request = ExecRequest(arguments: ["head", "-c", "1000000", "/dev/zero"])
        agent.send(Frame(.exec, session: 3, payload: request.encoded))
        var received = 0
        while received < Frame.window, let frame = agent.receive() {
            if frame.kind == .output { received += frame.payload.count }
        }
        #expect(received == Frame.window)
        agent.send(Frame(.info, session: 99))
        #expect(agent.receive()?.kind == .infoAnswer, "nothing more of the stream comes before the answer")
        agent.send(Frame(.outputCredit, session: 3, stream: 1, numbers: [UInt32(Frame.window)]))
        #expect(received + agent.collect(3).output.utf8.count == 1_000_000)
    }

    @Test func floodOfInputEndsOnlyThatSession() {
        let agent = AgentHarness()
        defer { agent.end() }
        agent.send(
            Frame(.exec, session: 4, payload: ExecRequest(arguments: ["sleep", "100"], openInput: true).encoded))
        let block = [UInt8](repeating: 1, count: Frame.maxPayload)
        for _ in 0..<8 { agent.send(Frame(.input, session: 4, payload: block)) }
        #expect(agent.run(ExecRequest(arguments: ["echo", "alive"]), session: 6).output == "alive\n")
        agent.send(Frame(.signal, session: 4, numbers: [9]))
    }

    @Test func malformedRequestsAreAnswered() {
        let agent = AgentHarness()
        defer { agent.end() }
        agent.send(
            Frame(.exec, session: 1, payload: [1, 2, 3]), Frame(.signal, session: 77, numbers: [9]),
            Frame(.outputCredit, session: 1, stream: 9, numbers: [1]), Frame(.resize, session: 1, payload: [1]))
        #expect(agent.receive()?.payload.first == ExecFailure.malformed.rawValue)
    }

    @Test func aNewHelloEndsOldSessions() {
        let agent = AgentHarness()
        defer { agent.end() }
        agent.send(
            Frame(.exec, session: 1, payload: ExecRequest(arguments: ["cat"], openInput: true).encoded),
            Frame(.hello, payload: [1]))
        var kinds: [FrameKind] = []
        while let frame = agent.receive() {
            kinds.append(frame.kind)
            if frame.kind == .exited { break }
        }
        #expect(kinds == [.started, .helloAnswer, .exited])
    }

    @Test func knowsAboutTheGuest() {
        let agent = AgentHarness()
        defer { agent.end() }
        agent.send(Frame(.info, session: 8))
        let text = String(decoding: agent.receive()?.payload ?? [], as: UTF8.self)
        for key in ["kernel=", "hostname=", "memory=", "memory.available=", "uptime=", "cpu=cpu ", "processes="] {
            #expect(text.contains(key))
        }
    }
}
