import Testing

@testable import GuestCore

struct FrameTests {
    @Test func encodesAndParses() throws {
        let frames = [
            Frame(.hello, payload: Array(0..<16)), Frame(.output, session: 7, stream: 2, payload: Array("text".utf8)),
            Frame(.exited, session: 0xffff_fffe, numbers: [1, 0]), Frame(.info),
        ]
        var parser = FrameParser()
        // One byte at a time: every split must work.
        var found: [Frame] = []
        for byte in frames.flatMap(\.encoded) {
            parser.append([byte])
            while let frame = parser.next() { found.append(frame) }
        }
        #expect(found == frames)
        #expect(found[2].numbers(2) == [1, 0])
        #expect(found[2].numbers(1) == nil)
    }

    @Test func findsItsWayAfterGarbageAndHalfFrames() {
        let good = Frame(.info, session: 3)
        let half = Array(Frame(.input, session: 1, payload: [UInt8](repeating: 9, count: 1000)).encoded.prefix(400))
        var parser = FrameParser()
        parser.append(Array("noise ISL ISIISL".utf8) + good.encoded)
        #expect(parser.next() == good)
        // The header of the half frame announces 1000 bytes, which padding fills up.
        parser.append(half + [UInt8](repeating: 0, count: Frame.maxPayload) + good.encoded)
        _ = parser.next()
        #expect(parser.next() == good)
        #expect(parser.next() == nil)
    }

    @Test func refusesUnknownKindsAndOversizedPayloads() {
        var parser = FrameParser()
        var unknown = Frame(.info).encoded
        unknown[4] = 200
        var huge = Frame(.input).encoded
        huge[14] = 0xff
        let good = Frame(.resize, numbers: [80, 24])
        parser.append(unknown + huge + good.encoded)
        #expect(parser.next() == good)
    }

    @Test func execRequestSurvivesTheWire() {
        let request = ExecRequest(
            arguments: ["sh", "-c", "echo \"ü\"\n"], environment: ["A=1", "B="], directory: "/tmp", user: "web:www",
            terminal: true, openInput: true, columns: 132, rows: 50)
        #expect(ExecRequest(decoding: request.encoded) == request)
        for length in 0..<request.encoded.count {
            #expect(ExecRequest(decoding: Array(request.encoded.prefix(length))) == nil)
        }
        #expect(ExecRequest(decoding: ExecRequest(arguments: []).encoded) == nil)
        var lying = ExecRequest(arguments: ["a"]).encoded
        lying[18...21] = [0xff, 0xff, 0xff, 0xff]
        #expect(ExecRequest(decoding: lying) == nil)
    }

    @Test func configSurvivesTheFile() {
        var config = GuestConfig()
        config.boot = .application
        config.hostname = "web"
        config.process = ExecRequest(
            arguments: ["/bin/sh", "-c", "a=b % \n\t\u{7f}ü"], environment: ["X=1=2"], directory: "/srv", user: "1:2",
            terminal: true, openInput: false, columns: 100, rows: 30)
        config.interfaces = [
            .init(mac: "00:16:3e:01:02:03", name: "eth0", ipv4: "10.0.0.2/24", gateway4: "10.0.0.1"),
            .init(mac: "00:16:3e:01:02:04", name: "eth1", ipv6: "fd00::2/64", gateway6: "fd00::1"),
        ]
        config.nameServers = ["10.0.0.1"]
        config.searchDomains = ["isle"]
        config.shares = [.init(tag: "share0", target: "/mnt/with blank", readOnly: true)]
        config.readOnlyRoot = true
        #expect(GuestConfig(decoding: config.encoded) == config)
        config.boot = .system(path: "/sbin/init")
        #expect(GuestConfig(decoding: config.encoded) == config)
    }

    @Test func configToleratesGarbage() {
        let config = GuestConfig(
            decoding: Array("\n=\nfoo\ninterface=a b\nshare=x\ncolumns=999999999999\nhostname=%zz%4\nunknown=1\n".utf8))
        #expect(config.interfaces.isEmpty && config.shares.isEmpty)
        #expect(config.process.columns == 80)
        #expect(config.hostname == "%zz%4")
    }
}
