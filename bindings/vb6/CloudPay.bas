Attribute VB_Name = "CloudPay"
Option Explicit
' cloudpay for VB6: add this module to the project (Project, Add Module, Existing). MIT OR Apache-2.0.
' The 32-bit cloudpay.dll lies beside the program. What each function does, its keys, limits and
' codes are in cloudpay.h; the README says what to do on each code at the till.
'
' Text      A String that is passed ByVal is converted to the code page of Windows, which is CP936
'           (GBK) on a Chinese Windows, and back. UTF-8 does not survive that. So configure
'             "common_conf":{"ascii_output":1, ...}
'           and write requests with CloudPayJson(): then all that goes over is ASCII, \uXXXX
'           included, which is the same in every code page. \uXXXX is always understood on input.
'           Or configure "charset":"gbk", on Windows whose code page is CP936, and nowhere else.
'           The configuration itself passes through the same conversion: write it in ASCII too.
' Buffers   An output parameter needs a String that is long enough before the call:
'             Dim order As String: order = String$(4096, vbNullChar)
'             code = cloud_pay_query_order(req, order, Len(order))
'             order = CloudPayText(order)
'           A buffer that is too small gets nothing, and the call returns CLOUDPAY_BUFFER.
' Ownership Strings stay the program's own; the library copies what it is given. vbNullString is a
'           missing text: cloud_pay_micro_pay req, vbNullString, 0.
' Pointers  cloud_pay_get_errmsg and cloud_pay_version return the address of a text that belongs
'           to the library: never declare them As String, or VB frees it. Ask CloudPayMessage().
' Callback  None in VB6: it comes on a thread of the library, and VB6 code can't run there, nor in
'           its IDE. cloud_pay_wait_order waits; with a timeout of 0 it only looks (for a Timer).
'           cloud_pay_set_callback is here to be complete: 0, 0 is all that may be passed.
' Numbers   Every number is a 32-bit Long. Amounts are in fen.
' Servers   cloud_pay_verify_notify wants the bytes of the body; a String would damage them.

' What a call returns. About a payment: 0 is proven paid and -1 is proven not charged.
Public Const CLOUDPAY_OK As Long = 0          ' paid, accepted, done
Public Const CLOUDPAY_FAILED As Long = -1     ' failed, refused, not accepted
Public Const CLOUDPAY_UNKNOWN As Long = -2    ' not known yet: query again; no goods, no second payment
Public Const CLOUDPAY_ERROR As Long = -3      ' an error; says nothing about any payment
Public Const CLOUDPAY_TAKEN_BACK As Long = -4 ' refunded, reversed or closed
Public Const CLOUDPAY_CODE_READY As Long = -5 ' the QR code is ready
Public Const CLOUDPAY_REENTRY As Long = -6    ' the number is another payment's: never cancel it
Public Const CLOUDPAY_NO_ORDER As Long = -7   ' no such order
Public Const CLOUDPAY_BUFFER As Long = -8     ' buffer missing or too small

Public Declare Function cloud_pay_init Lib "cloudpay.dll" _
    Alias "cloud_pay_init_std" (ByVal conf As String) As Long
Public Declare Function cloud_pay_fini Lib "cloudpay.dll" _
    Alias "cloud_pay_fini_std" () As Long
Public Declare Function cloud_pay_get_errmsg Lib "cloudpay.dll" _
    Alias "cloud_pay_get_errmsg_std" () As Long
Public Declare Function cloud_pay_copy_errmsg Lib "cloudpay.dll" _
    Alias "cloud_pay_copy_errmsg_std" (ByVal answer As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_version Lib "cloudpay.dll" _
    Alias "cloud_pay_version_std" () As Long
Public Declare Function cloud_pay_query_shop_info Lib "cloudpay.dll" _
    Alias "cloud_pay_query_shop_info_std" (ByVal req As String, ByVal shop_info As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_query_sub_mch_info Lib "cloudpay.dll" _
    Alias "cloud_pay_query_sub_mch_info_std" (ByVal req As String, ByVal answer As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_order_detail Lib "cloudpay.dll" _
    Alias "cloud_pay_order_detail_std" (ByVal req As String, ByVal order_details As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_verify_notify Lib "cloudpay.dll" _
    Alias "cloud_pay_verify_notify_std" (ByVal body As String, ByVal content As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_notify_reply Lib "cloudpay.dll" _
    Alias "cloud_pay_notify_reply_std" (ByVal status As Long, ByVal description As String, ByVal answer As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_micro_pay Lib "cloudpay.dll" _
    Alias "cloud_pay_micro_pay_std" (ByVal req As String, ByVal resp As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_scan_code_pay Lib "cloudpay.dll" _
    Alias "cloud_pay_scan_code_pay_std" (ByVal req As String) As Long
Public Declare Function cloud_pay_query_order Lib "cloudpay.dll" _
    Alias "cloud_pay_query_order_std" (ByVal req As String, ByVal order As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_wait_order Lib "cloudpay.dll" _
    Alias "cloud_pay_wait_order_std" (ByVal req As String, ByVal order As String, ByVal length As Long, ByVal timeout_ms As Long) As Long
Public Declare Function cloud_pay_cancel_order Lib "cloudpay.dll" _
    Alias "cloud_pay_cancel_order_std" (ByVal req As String) As Long
Public Declare Function cloud_pay_close_order Lib "cloudpay.dll" _
    Alias "cloud_pay_close_order_std" (ByVal req As String) As Long
Public Declare Function cloud_pay_refund Lib "cloudpay.dll" _
    Alias "cloud_pay_refund_std" (ByVal req As String) As Long
Public Declare Function cloud_pay_query_refund Lib "cloudpay.dll" _
    Alias "cloud_pay_query_refund_std" (ByVal req As String, ByVal refund_order As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_set_callback Lib "cloudpay.dll" _
    Alias "cloud_pay_set_callback_std" (ByVal cb As Long, ByVal user As Long) As Long
Public Declare Function cloud_pay_pending_orders Lib "cloudpay.dll" _
    Alias "cloud_pay_pending_orders_std" (ByVal answer As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_next_trade_no Lib "cloudpay.dll" _
    Alias "cloud_pay_next_trade_no_std" (ByVal answer As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_security_author_code_prefix Lib "cloudpay.dll" _
    Alias "cloud_pay_security_author_code_prefix_std" (ByVal resp As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_security_login Lib "cloudpay.dll" _
    Alias "cloud_pay_security_login_std" (ByVal req As String, ByVal resp As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_security_login_check Lib "cloudpay.dll" _
    Alias "cloud_pay_security_login_check_std" (ByVal req As String, ByVal resp As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_security_init Lib "cloudpay.dll" _
    Alias "cloud_pay_security_init_std" (ByVal req As String) As Long
Public Declare Function cloud_pay_security_identification Lib "cloudpay.dll" _
    Alias "cloud_pay_security_identification_std" (ByVal req As String, ByVal resp As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_security_identification_check Lib "cloudpay.dll" _
    Alias "cloud_pay_security_identification_check_std" (ByVal req As String, ByVal resp As String, ByVal length As Long) As Long
Public Declare Function cloud_pay_order_stat Lib "cloudpay.dll" _
    Alias "cloud_pay_order_stat_std" (ByVal req As String, ByVal order_stat As String, ByVal length As Long) As Long

' The text in a buffer: what is before its first NUL.
Public Function CloudPayText(ByVal buffer As String) As String
    Dim at As Long
    at = InStr(buffer, vbNullChar)
    If at > 0 Then CloudPayText = Left$(buffer, at - 1) Else CloudPayText = buffer
End Function

' The reason for the code of the last call; "" after a success. Call it before any other function.
Public Function CloudPayMessage() As String
    Dim buffer As String
    buffer = String$(4096, vbNullChar)
    cloud_pay_copy_errmsg buffer, Len(buffer)
    CloudPayMessage = CloudPayPlain(CloudPayText(buffer))
End Function

' A new order number; "" when there is none: CloudPayMessage() says why.
Public Function CloudPayNextTradeNo() As String
    Dim buffer As String
    buffer = String$(64, vbNullChar)
    If cloud_pay_next_trade_no(buffer, Len(buffer)) = CLOUDPAY_OK Then CloudPayNextTradeNo = CloudPayText(buffer)
End Function

' Waits at most timeout_ms for the result of an order; 0 only looks. Gives the order's JSON too.
Public Function CloudPayWait(ByVal out_trade_no As String, ByVal timeout_ms As Long, ByRef order As String) As Long
    order = String$(16384, vbNullChar)
    CloudPayWait = cloud_pay_wait_order("{""out_trade_no"":" & CloudPayJson(out_trade_no) & "}", _
                                        order, Len(order), timeout_ms)
    order = CloudPayText(order)
End Function

' A text as a JSON string, with its quotes, in ASCII: "{""body"":" & CloudPayJson(goods) & "}"
Public Function CloudPayJson(ByVal text As String) As String
    Dim i As Long, unit As Long, out As String
    For i = 1 To Len(text)
        unit = AscW(Mid$(text, i, 1)) And &HFFFF&
        If unit < 32 Or unit > 126 Or unit = 34 Or unit = 92 Then
            out = out & "\u" & Right$("000" & Hex$(unit), 4)
        Else
            out = out & Mid$(text, i, 1)
        End If
    Next
    CloudPayJson = """" & out & """"
End Function

' The \uXXXX of a message as characters. Answers are JSON: there the program's JSON parser does it.
Public Function CloudPayPlain(ByVal text As String) As String
    Dim at As Long, out As String
    at = InStr(text, "\u")
    Do While at > 0
        If Mid$(text, at + 2, 4) Like "[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]" Then
            out = out & Left$(text, at - 1) & ChrW$(CLng("&H" & Mid$(text, at + 2, 4)))
            text = Mid$(text, at + 6)
        Else
            out = out & Left$(text, at + 1)
            text = Mid$(text, at + 2)
        End If
        at = InStr(text, "\u")
    Loop
    CloudPayPlain = out & text
End Function
