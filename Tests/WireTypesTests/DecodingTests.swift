import FoundationEssentials
import Testing
import WireTypes

private func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(text.utf8))
}

private func encode(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

@Suite("Decoding as LXD's clients do")
struct DecodingTests {
    @Test("an instance of LXD 5.0")
    func instance() throws {
        let instance = try decode(
            API.Instance.self,
            """
            {"architecture":"x86_64","config":{"limits.cpu":"2"},"created_at":"2021-03-23T20:00:00-04:00",
             "description":"My test instance","devices":{"root":{"path":"/","pool":"default","type":"disk"}},
             "ephemeral":false,"expanded_config":{"limits.cpu":"2"},"expanded_devices":{},"last_used_at":
             "2021-03-23T20:00:00-04:00","location":"lxd01","name":"foo","profiles":["default"],"project":"foo",
             "stateful":false,"status":"Running","status_code":103,"type":"container","some_future_field":[1,{}]}
            """)
        #expect(instance.name == "foo")
        #expect(instance.statusCode == API.StatusCode.running.rawValue)
        #expect(instance.devices["root"]?["pool"] == "default")
        #expect(instance.kind == nil)
    }

    @Test("missing and null fields are empty values")
    func zero() throws {
        let instance = try decode(API.Instance.self, #"{"name":null,"config":null}"#)
        #expect(instance.name == "" && instance.config == [:] && instance.profiles == [] && !instance.ephemeral)
        let post = try decode(API.InstancesPost.self, "{}")
        #expect(post.source == API.InstanceSource())
        #expect(post.profiles == nil)
    }

    @Test("a field of the wrong type is an error")
    func wrongType() {
        #expect(throws: DecodingError.self) { try decode(API.Instance.self, #"{"name":7}"#) }
        #expect(throws: DecodingError.self) {
            try decode(API.InstanceStatePut.self, #"{"timeout":9223372036854775808}"#)
        }
    }

    @Test("exec uses LXD's dashed keys")
    func exec() throws {
        let post = try decode(
            API.InstanceExecPost.self,
            """
            {"command":["sh"],"wait-for-websocket":true,"record-output":true,"interactive":true,"width":80,"height":24,
             "environment":{"A":"b"},"user":1000,"group":1000,"cwd":"/tmp"}
            """)
        #expect(post.waitForWebsocket && post.recordOutput && post.interactive)
        #expect(post.user == 1000 && post.width == 80 && post.cwd == "/tmp")
        #expect(try encode(API.InstanceExecPost()).contains(#""wait-for-websocket":false"#))
    }

    @Test("control messages carry sizes as text")
    func control() throws {
        #expect(
            try encode(API.SessionControl(columns: 80, rows: 24))
                == #"{"args":{"height":"24","width":"80"},"command":"window-resize","signal":0}"#)
        #expect(try decode(API.SessionControl.self, #"{"command":"signal","signal":15}"#).signal == 15)
    }
}

@Suite("Envelopes")
struct EnvelopeTests {
    @Test("the error envelope has every field")
    func error() throws {
        #expect(
            try encode(API.Response<API.Empty>(error: "Instance not found", code: 404))
                == #"{"error":"Instance not found","error_code":404,"metadata":null,"operation":"","status":"","#
                + #""status_code":0,"type":"error"}"#)
    }

    @Test("the sync envelope")
    func sync() throws {
        #expect(
            try encode(API.Response(["/1.0"]))
                == #"{"error":"","error_code":0,"metadata":["/1.0"],"operation":"","status":"Success","#
                + #""status_code":200,"type":"sync"}"#)
        #expect(try encode(API.Response(API.Empty())).contains(#""metadata":{}"#))
    }

    @Test("the async envelope names the operation")
    func async() throws {
        var operation = API.Operation()
        operation.id = "a2b"
        let text = try encode(API.Response(created: operation))
        #expect(text.contains(#""operation":"/1.0/operations/a2b""#))
        #expect(text.contains(#""status":"Operation created","status_code":100,"type":"async""#))
        let back = try decode(API.Response<API.Operation>.self, text)
        #expect(back.metadata?.id == "a2b")
    }

    @Test("every status has LXD's word")
    func statuses() {
        #expect(API.StatusCode(rawValue: 103)?.text == "Running")
        #expect(API.StatusCode.allCases.filter(\.isFinal) == [.success, .failure, .cancelled])
    }
}

@Suite("JSON values")
struct JSONValueTests {
    @Test("any JSON survives")
    func roundTrip() throws {
        let text = #"{"a":[1,-2,2.5,true,null,"x"],"b":{"c":{}}}"#
        #expect(try encode(try decode(JSONValue.self, text)) == text)
    }

    @Test("accessors give nil for another type")
    func accessors() {
        let value: JSONValue = ["n": 7, "s": "x", "f": 2.5, "l": [true]]
        #expect(value["n"]?.intValue == 7 && value["s"]?.intValue == nil)
        #expect(value["f"]?.intValue == nil && value["l"]?.arrayValue?.first?.boolValue == true)
        #expect(value["none"] == nil && JSONValue.null["n"] == nil)
    }
}

@Suite("Timestamps")
struct TimestampTests {
    @Test(arguments: [
        (0.0, "1970-01-01T00:00:00Z"), (1_582_934_400, "2020-02-29T00:00:00Z"),
        (951_868_799.5, "2000-02-29T23:59:59.500000Z"), (-1, "1969-12-31T23:59:59Z"),
        (1_795_446_600, "2026-11-23T15:10:00Z"), (1.9999999, "1970-01-01T00:00:02Z"),
    ])
    func written(_ seconds: Double, _ text: String) {
        #expect(Timestamp.string(seconds) == text)
    }

    @Test(arguments: [Double.nan, .infinity, -1e20, 1e20])
    func outOfRange(_ seconds: Double) { #expect(Timestamp.string(seconds) == Timestamp.never) }

    @Test(arguments: [
        ("2021-03-23T20:00:00-04:00", 1_616_544_000.0), ("1970-01-01T00:00:01.25Z", 1.25),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
    ])
    func read(_ text: String, _ seconds: Double) { #expect(Timestamp.seconds(text) == seconds) }

    @Test(arguments: [
        "", "2021", "2021-13-01T00:00:00Z", "2021-01-01T00:00:00", "2021-01-01T00:00:00Zx", "２021-01-01T00:00:00Z",
    ])
    func refused(_ text: String) { #expect(Timestamp.seconds(text) == nil) }

    @Test func thereAndBack() {
        for seconds in stride(from: -3e9, to: 3e9, by: 8_640_123) {
            #expect(Timestamp.seconds(Timestamp.string(seconds)) == seconds)
        }
    }
}
