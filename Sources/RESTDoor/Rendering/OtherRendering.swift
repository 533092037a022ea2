import DriverKit
import Engine
import Model
import WireTypes

extension API.NetworkLease {
    init(_ lease: DriverKit.NetworkLease) {
        self.init()
        hostname = lease.hostname
        hwaddr = lease.mac
        address = lease.address
    }
}

extension API.Profile {
    init(_ profile: ProfileRecord, usedBy: [String]) {
        self.init()
        name = profile.name
        description = profile.description
        config = profile.config
        devices = profile.devices
        self.usedBy = usedBy
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.ProfilePut {
        var put = API.ProfilePut()
        put.description = description
        put.config = config
        put.devices = devices
        return put
    }
}

extension API.DoctorCheck {
    init(_ check: HostCheck) {
        self.init()
        name = check.name
        level = check.level.rawValue
        finding = check.finding
        advice = check.advice
    }
}
