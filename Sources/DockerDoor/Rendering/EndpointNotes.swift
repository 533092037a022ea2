import Model

/// What a client said about an endpoint and inspect shows again, kept with the interface's device.
enum EndpointNotes {
    private static let linksKey = "user.docker.links"
    private static let optionsKey = "user.docker.driver_opts"

    static func keys(_ endpoint: EndpointBody) -> [String: String] {
        var keys: [String: String] = [:]
        if !endpoint.links.isEmpty { keys[linksKey] = JSON.strings(endpoint.links).text }
        if !endpoint.driverOptions.isEmpty { keys[optionsKey] = JSON.map(endpoint.driverOptions).text }
        return keys
    }

    static func links(_ device: [String: String]) -> JSON { json(device[linksKey]) }
    static func options(_ device: [String: String]) -> JSON { json(device[optionsKey]) }

    /// Of an endpoint that has no addresses yet.
    static func shown(_ device: [String: String]) -> JSON {
        [
            "Links": links(device), "DriverOpts": options(device), "MacAddress": .string(device["hwaddr"] ?? ""),
        ]
    }

    private static func json(_ text: String?) -> JSON {
        guard let text, let json = try? JSONParser.parse(text.utf8) else { return .null }
        return json
    }
}
