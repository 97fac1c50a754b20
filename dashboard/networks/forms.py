from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.netvalues import is_network_name, read_address, read_range
from dashboard.grammar.requests import NetworkCreate


def _read(reader: Callable[[str], str], text: str, problem: str) -> str:
    try:
        return reader(text.strip()) if text.strip() else ""
    except ValueRefused as error:
        raise forms.ValidationError(problem) from error


class NetworkForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=128)
    subnet = forms.CharField(label=gettext_lazy("Subnet"), required=False, max_length=18)
    gateway = forms.CharField(label=gettext_lazy("Gateway"), required=False, max_length=15)
    ip_range = forms.CharField(label=gettext_lazy("Address range"), required=False, max_length=18)
    ipv6 = forms.BooleanField(label=gettext_lazy("IPv6, too"), required=False)
    internal = forms.BooleanField(label=gettext_lazy("Internal: no way out"), required=False)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not is_network_name(name):
            raise forms.ValidationError(_("Letters, digits, “_”, “.” and “-”, the first a letter or digit."))
        return name

    def clean_subnet(self) -> str:
        return _read(read_range, self.cleaned_data["subnet"], _network_problem())

    def clean_ip_range(self) -> str:
        return _read(read_range, self.cleaned_data["ip_range"], _network_problem())

    def clean_gateway(self) -> str:
        return _read(read_address, self.cleaned_data["gateway"], _("An address, for example 10.200.7.1."))

    def request(self) -> NetworkCreate:
        return NetworkCreate(**self.cleaned_data)


def _network_problem() -> str:
    return _("An IPv4 network, for example 10.200.7.0/24.")
